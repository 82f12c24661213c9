# SPDX-License-Identifier: AGPL-3.0-only
"""INT8 from a float ONNX of the contract: OpenVINO's by NNCF for a CPU, explicit Q/DQ for TensorRT.

Both are calibrated on the same canvases, written by the car's own letterbox. In both, the layers that decide on a
box and its class stay in float: the head's last convolutions, and what follows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from cone_detector.engine.contract import INPUT_NAME
from cone_detector.engine.manifest import (
    Calibration,
    Manifest,
    Runtime,
    check_file,
    file_sha256,
    read_manifest,
    write_manifest,
)
from cone_detector.frames import Frame
from cone_detector.letterbox import LetterboxWriter
from offline_tools.datasets import read_dataset
from offline_tools.datasets.fingerprint import data_sha256
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.prepare import Source, read_image
from offline_tools.datasets.sample import DatasetError, Sample
from offline_tools.onnx_files import compact, expand
from offline_tools.qdq import calibrate, insert, place

FEWEST_IMAGES = 300


@dataclass(frozen=True)
class Frames:
    """Frames to calibrate on, known to hold no test image. split: where they come from, for the manifest."""

    samples: Sequence[Sample]
    source: Source
    split: str
    sha256: str

    def canvases(self, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """Pairs of letterboxed frames, (2, H, W, 3) uint8, as the engine is given them; a canvas is (width, height)."""
        writer = LetterboxWriter()
        for start in range(0, len(self.samples) - 1, 2):
            pair = np.empty((2, size[1], size[0], 3), np.uint8)
            for side in (0, 1):
                image = read_image(self.samples[start + side].image, self.source)
                writer.write(Frame(image), pair[side])
            yield pair


def calibration_frames(source: Source, split: str, guard: SplitGuard, count: int = FEWEST_IMAGES) -> Frames:
    """`count` frames spread evenly over a split. Raises DatasetError where it is test data or holds too few."""
    samples = guard.open(read_dataset(source.path), split, Purpose.CALIBRATE)
    if len(samples) < count:
        raise DatasetError(
            f"split '{split}' of {source.path} holds {len(samples)} images, calibration needs {count}: "
            "use another split, or --images for a trial"
        )
    chosen = [samples[index] for index in np.linspace(0, len(samples) - 1, count).astype(int)]
    prints = guard.check((sample.image for sample in chosen), Purpose.CALIBRATE)
    return Frames(chosen, source, split, data_sha256(item.content for item in prints))


def quantize_openvino(manifest_path: Path, frames: Frames, directory: Path) -> Path:
    """Writes `<stem>-int8-openvino.xml`, .bin and manifest to `directory`; returns the manifest's path.

    NNCF's mixed scheme: symmetric weights per channel, asymmetric activations per tensor. The ends of the head are left
    out: with them a small trial lost 4 points of mAP50, without them less than half a point.
    """
    import nncf
    import openvino as ov

    manifest, file = _open(manifest_path)
    # Unlike read_model this joins each SiLU's sigmoid and product, which NNCF would part with quantizers: OpenVINO then
    # runs them inside the convolutions, and the INT8 network takes two thirds of the time.
    model = ov.convert_model(file)
    data = nncf.Dataset(list(_inputs(manifest, frames)), lambda pair: {INPUT_NAME: pair})
    quantized = nncf.quantize(
        model,
        data,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(frames.samples) // 2,
        ignored_scope=nncf.IgnoredScope(
            names=[op.get_friendly_name() for op in _after_last_convolutions(model)],
            types=["Softmax", "MatMul"],
            validate=False,
        ),
    )
    path = directory / f"{manifest_path.stem}-int8-openvino.xml"
    directory.mkdir(parents=True, exist_ok=True)
    ov.save_model(quantized, path, compress_to_fp16=True)
    # Indentation is half of the XML.
    path.write_text(re.sub(r">\s+<", "><", path.read_text()))
    version = f"openvino {ov.__version__.split('-')[0]}, nncf {nncf.__version__}"
    return _note(manifest, path, frames, Runtime("openvino", version), qdq=False)


def quantize_qdq(manifest_path: Path, frames: Frames, directory: Path) -> Path:
    """Writes `<stem>-int8-qdq.onnx` and manifest to `directory`; returns the manifest's path.

    Ordinary convolutions compute in INT8: activations per tensor, weights per channel, symmetric, zero point 0; where
    Q/DQ stands for that is told in `offline_tools.qdq`. TensorRT 8.6 refuses it on grouped convolutions and the DFL;
    they and the ends of the head stay in float. Raises ValueError where there are no frames, or values without end.
    """
    import onnxruntime

    manifest, file = _open(manifest_path)
    path = directory / f"{manifest_path.stem}-int8-qdq.onnx"
    directory.mkdir(parents=True, exist_ok=True)
    model = expand(onnx.load(file))
    excluded = {*_kept_in_float(model), *_grouped(model)}
    names = [node.name for node in model.graph.node if node.op_type == "Conv" and node.name not in excluded]
    placement = place(model, names)
    inputs = ({INPUT_NAME: pair} for pair in _inputs(manifest, frames))
    onnx.save(compact(insert(model, placement, calibrate(model, placement, inputs))), path)
    version = f"opset {model.opset_import[0].version}, onnxruntime {onnxruntime.__version__}"
    return _note(manifest, path, frames, Runtime("onnx", version), qdq=True)


def _inputs(manifest: Manifest, frames: Frames) -> Iterator[NDArray[np.uint8]]:
    """Calibration inputs of the pass: whole canvases, or for a strip the rows about the canvas's middle."""
    for pair in frames.canvases(manifest.canvas):
        if not manifest.strip:
            yield pair
            continue
        top = (manifest.canvas[1] - manifest.strip) // 2
        strip = np.ascontiguousarray(pair[:, top : top + manifest.strip])
        width, height = manifest.network
        if (width, height) != (strip.shape[2], strip.shape[1]):
            strip = np.stack([cv2.resize(image, (width, height)) for image in strip])
        yield strip


def _open(manifest_path: Path) -> tuple[Manifest, Path]:
    manifest = read_manifest(manifest_path)
    if manifest.precision != "fp32" or manifest.runtime.name != "onnx":
        raise DatasetError(f"{manifest_path} is {manifest.precision} {manifest.runtime.name}: give the float ONNX")
    return manifest, check_file(manifest_path, manifest)


def _note(manifest: Manifest, path: Path, frames: Frames, runtime: Runtime, qdq: bool) -> Path:
    values = {
        **vars(manifest),
        "file": path.name,
        "file_sha256": file_sha256(path),
        "precision": "int8",
        "qdq": qdq,
        "runtime": runtime,
        "calibration": Calibration(frames.sha256, frames.split, len(frames.samples)),
        "evaluation": None,
    }
    target = path.with_suffix(".json")
    write_manifest(target, Manifest(**values))
    return target


def _after_last_convolutions(model: Any) -> list[Any]:
    """Operations of an OpenVINO model that no convolution follows, and the last convolutions themselves.

    Boxes are put together there, in canvas pixels: eight bits over 640 pixels are steps of 2.5.
    """
    followed = set()
    for op in reversed(model.get_ordered_ops()):
        name = op.get_friendly_name()
        if name in followed or op.get_type_name() in ("Convolution", "GroupConvolution"):
            followed |= {value.get_source_output().get_node().get_friendly_name() for value in op.inputs()}
    return [op for op in model.get_ordered_ops() if op.get_friendly_name() not in followed]


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """Names of the head's last convolutions: those whose output reaches the rows without another convolution."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def reaches_convolution(name: str, seen: set[str]) -> bool:
        for node in consumers.get(name, ()):
            if node.op_type == "Conv":
                return True
            for output in node.output:
                if output not in seen:
                    seen.add(output)
                    if reaches_convolution(output, seen):
                        return True
        return False

    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and not reaches_convolution(node.output[0], set())
    ]


def _grouped(model: onnx.ModelProto) -> list[str]:
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    ]
