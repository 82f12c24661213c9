# SPDX-License-Identifier: AGPL-3.0-only
"""Which part of a network loses accuracy in INT8: one part quantized at a time, all else in float."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import numpy_helper

from cone_detector.engine.manifest import ManifestError, check_file, file_sha256, read_manifest, write_manifest
from offline_tools.datasets import read_dataset
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.prepare import Source
from offline_tools.evaluate import detect_all
from offline_tools.metrics import figures
from offline_tools.onnx_files import expand

# Ultralytics names a node after its module: /network/model.16/cv1/conv/Conv.
_MODULE = re.compile(r"model\.(\d+)/(cv[23]\.\d)?")


@dataclass(frozen=True)
class Part:
    """One part of the network. map50: with this part alone in INT8. convolutions: how many of it are quantized."""

    name: str
    convolutions: int
    map50: float


def part_of(node_name: str) -> str:
    """The part that a node belongs to: its module, and within the head its branch."""
    found = _MODULE.search(node_name)
    return f"{found[1]}.{found[2]}" if found and found[2] else found[1] if found else node_name


def keep_quantized(model: onnx.ModelProto, kept: Callable[[str], bool]) -> onnx.ModelProto:
    """A copy of an expanded Q/DQ model in which only nodes whose name `kept` accepts read through Q/DQ."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    made_by = {output: node for node in copied.graph.node for output in node.output}
    for node in copied.graph.node:
        if kept(node.name):
            continue
        for index, name in enumerate(node.input):
            dequantize = made_by.get(name)
            if dequantize is not None and dequantize.op_type == "DequantizeLinear":
                node.input[index] = made_by[dequantize.input[0]].input[0]
    return copied


def restore_weights(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Gives an expanded Q/DQ model the float weights of its expanded original, in place of the rounded ones."""
    floats = {tensor.name: tensor for tensor in original.graph.initializer}
    weights = {node.name: floats[node.input[1]] for node in original.graph.node if node.op_type == "Conv"}
    made_by = {output: node for node in model.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        dequantize = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if dequantize is not None and dequantize.op_type == "DequantizeLinear":
            tensor = tensors[made_by[dequantize.input[0]].input[0]]
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights[node.name]), tensor.name))


def quantized_parts(model: onnx.ModelProto) -> dict[str, int]:
    """The parts of an expanded Q/DQ model that are quantized, in order, and how many convolutions each has."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    parts: dict[str, int] = {}
    for node in model.graph.node:
        source = made_by.get(node.input[0]) if node.op_type == "Conv" else None
        if source is not None and source.op_type == "DequantizeLinear":
            parts[part_of(node.name)] = parts.get(part_of(node.name), 0) + 1
    return parts


def sweep(
    manifest_path: Path,
    source: Source,
    guard: SplitGuard,
    every: int = 1,
    progress: Callable[[Part], None] | None = None,
) -> tuple[float, float, Sequence[Part]]:
    """mAP50 on val with nothing, with everything, and with each part alone in INT8.

    manifest_path: of a Q/DQ ONNX, beside the float ONNX that it was made from. every: take only every n-th frame.
    progress: called with each part as it is measured.
    Raises ManifestError where the file is no Q/DQ ONNX, DatasetError, EngineError.
    """
    manifest = read_manifest(manifest_path)
    if not manifest.qdq:
        raise ManifestError(f"{manifest_path} is no Q/DQ ONNX: make one with `cone-tools quantize --for tensorrt`")
    model = expand(onnx.load(check_file(manifest_path, manifest)))
    float_path = manifest_path.with_name(f"{manifest.model}-{manifest.name}.json")
    original = read_manifest(float_path)
    if original.file_sha256 != manifest.onnx_sha256:
        raise ManifestError(f"{manifest_path} was not made from {float_path}: quantize it again")
    restore_weights(model, expand(onnx.load(check_file(float_path, original))))
    samples = guard.open(read_dataset(source.path), "val", Purpose.TUNE)[::every]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "variant.json"

        def measure(kept: Callable[[str], bool]) -> float:
            file = target.with_suffix(".onnx")
            onnx.save(keep_quantized(model, kept), file)
            variant = replace(manifest, file=file.name, file_sha256=file_sha256(file))
            write_manifest(target, variant)
            return figures(detect_all(target, variant, samples, source)).map50

        nothing, everything = measure(lambda _: False), measure(lambda _: True)
        parts = []
        for name, count in quantized_parts(model).items():
            part = Part(name, count, measure(lambda node, name=name: part_of(node) == name))  # type: ignore[misc]
            parts.append(part)
            if progress is not None:
                progress(part)
    return nothing, everything, parts
