# SPDX-License-Identifier: Apache-2.0
"""The engine for any CPU: OpenVINO runs the float ONNX, or the INT8 network that NNCF made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME, ROWS, EngineError, PassTimes
from cone_detector.engine.manifest import Manifest, ManifestError, check_file, common_canvas, read_manifest
from cone_detector.engine.openvino_graph import spare_work
from cone_detector.letterbox import PADDING_VALUE


class OpenVinoEngine:
    """See `contract.Engine`. Canvases are ordinary memory that OpenVINO reads in place."""

    def __init__(self, manifest_paths: Sequence[Path], slots: int, threads: int = 0) -> None:
        """Loads and warms up one network a manifest.

        slots: canvases to allocate. threads: CPU threads of one pass; 0 takes all cores.
        Raises ManifestError before any file is opened, EngineError where OpenVINO refuses one.
        """
        import openvino as ov

        loaded = [(path, read_manifest(path)) for path in manifest_paths]
        self.manifests: Mapping[str, Manifest] = {manifest.name: manifest for _, manifest in loaded}
        files = {manifest.name: _openvino_file(path, manifest) for path, manifest in loaded}
        width, height = common_canvas(self.manifests.values())
        self.slots: tuple[NDArray[np.uint8], ...] = tuple(
            np.full((2, height, width, 3), PADDING_VALUE, np.uint8) for _ in range(slots)
        )
        self.times = PassTimes()
        self.notes: tuple[str, ...] = ()
        core = ov.Core()
        self.off_cpu = False
        self.device = f"CPU {core.get_property('CPU', 'FULL_DEVICE_NAME')}"
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads or os.cpu_count() or 1,
            # On a machine that does other work, too, a thread bound to a core waits for what else runs there: 10 % of
            # the time at a load of 4 on 2 cores, nothing on a quiet one.
            "ENABLE_CPU_PINNING": False,
            # Where a CPU has bfloat16 OpenVINO uses it unasked: scores would differ from machine to machine.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._inputs = [ov.Tensor(slot, shared_memory=True) for slot in self.slots]
        # A strip's rows do not lie together for both images, so they are brought together here: 0.5 MB a pass.
        self._strips = {
            name: np.zeros((2, *manifest.input_size[::-1], 3), np.uint8)
            for name, manifest in self.manifests.items()
            if manifest.strip
        }
        self.close_ups: Mapping[str, NDArray[np.uint8]] = {
            name: strip for name, strip in self._strips.items() if self.manifests[name].magnified > 1
        }
        self._strip_inputs = {name: ov.Tensor(strip, shared_memory=True) for name, strip in self._strips.items()}
        self._rows = {name: np.zeros((2, ROWS, 6), np.float32) for name in self.manifests}
        self._requests: dict[str, Any] = {}
        for name, file in files.items():
            try:
                network = core.read_model(file)
                spare_work(network)
                request = core.compile_model(network, "CPU", options).create_infer_request()
                request.set_tensor(OUTPUT_NAME, ov.Tensor(self._rows[name], shared_memory=True))
                request.set_tensor(INPUT_NAME, self._strip_inputs.get(name, self._inputs[0]))
                request.infer()
            except RuntimeError as error:
                raise EngineError(f"OpenVINO cannot run {file}: {error}") from error
            self._requests[name] = request

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        request = self._requests[name]
        strip = self._strips.get(name)
        if strip is None:
            request.set_tensor(INPUT_NAME, self._inputs[slot])
        elif name not in self.close_ups:
            for side in (0, 1):
                strip[side] = self.slots[slot][side, top[side] : top[side] + len(strip[side])]
        start = perf_counter_ns()
        try:
            request.infer()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed in pass {name}: {error}") from error
        self.times.compute_ms = (perf_counter_ns() - start) / 1e6
        rows = self._rows[name]
        if strip is not None:
            rows[:, :, [1, 3]] += np.array(top, np.float32).reshape(2, 1, 1)
        return rows

    def close(self) -> None:
        self._requests.clear()
        self._inputs.clear()


def _openvino_file(path: Path, manifest: Manifest) -> Path:
    if manifest.runtime.name not in ("onnx", "openvino"):
        raise ManifestError(f"{path.name} is for {manifest.runtime.name}: OpenVINO runs float ONNX or its own files")
    if manifest.qdq:
        raise ManifestError(
            f"{path.name} is a Q/DQ ONNX for TensorRT, which loses 5 to 8 points of mAP on a CPU: "
            "use the float ONNX or NNCF's INT8"
        )
    return check_file(path, manifest)
