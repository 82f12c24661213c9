# SPDX-License-Identifier: AGPL-3.0-only
"""ONNX Runtime as an engine: for evaluating TensorRT's Q/DQ ONNX where there is no GPU, not for the car.

It executes quantize and dequantize nodes exactly as written, slowly; OpenVINO rewrites them and loses accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME, Engine, EngineError, PassTimes
from cone_detector.engine.manifest import Manifest, check_file, read_manifest
from cone_detector.engine.select import Candidate, Choice, load


class OnnxRuntimeEngine:
    """See `cone_detector.engine.contract.Engine`; one pass over the whole canvas or a strip of it."""

    def __init__(self, manifest_path: Path, slots: int = 1) -> None:
        import onnxruntime

        manifest = read_manifest(manifest_path)
        file = check_file(manifest_path, manifest)
        width, height = manifest.canvas
        self.manifests: Mapping[str, Manifest] = {manifest.name: manifest}
        self.slots: tuple[NDArray[np.uint8], ...] = tuple(
            np.zeros((2, height, width, 3), np.uint8) for _ in range(slots)
        )
        self.close_ups: Mapping[str, NDArray[np.uint8]] = {}
        if manifest.magnified > 1:
            self.close_ups = {manifest.name: np.zeros((2, *manifest.input_size[::-1], 3), np.uint8)}
        self.times = PassTimes()
        self.device = "CPU, ONNX Runtime"
        self.off_cpu = False
        self.notes: tuple[str, ...] = ("for evaluation only",)
        try:
            self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            raise EngineError(f"ONNX Runtime cannot run {file}: {error}") from error

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        frames, strip = self.slots[slot], self.manifests[name].strip
        if name in self.close_ups:
            frames = self.close_ups[name]
        elif strip:
            frames = np.stack([frame[first : first + strip] for frame, first in zip(frames, top, strict=True)])
        (rows,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: frames})
        if strip:
            rows[:, :, 1] += np.array(top, np.float32)[:, None]
            rows[:, :, 3] += np.array(top, np.float32)[:, None]
        return rows

    def close(self) -> None:
        del self._session


def open_engine(manifest_path: Path, slots: int = 1) -> Engine:
    """The engine of one manifest, by the runtime's own loader; ONNX Runtime for a Q/DQ ONNX."""
    manifest = read_manifest(manifest_path)
    if manifest.qdq:
        return OnnxRuntimeEngine(manifest_path, slots)
    candidate = Candidate(manifest.runtime.name, manifest.model, manifest.precision, (manifest_path,))
    return load(Choice(candidate, "named"), slots)
