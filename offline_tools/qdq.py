# SPDX-License-Identifier: AGPL-3.0-only
"""Where Q/DQ stands, so that TensorRT hands int8 from one layer to the next instead of going through floats.

TensorRT moves a QuantizeLinear ahead over operations that only move data, and then writes int8 out of the layer before
them; it can do so where all readers of a tensor agree on one scale. Hence:

1. A tensor has one Q/DQ, which all its quantized readers share.
2. What enters and what leaves an operation that only moves data (Concat, Split, MaxPool, ...) has one scale.
3. Residual sums read through Q/DQ too: with a float reader the layer before them would write floats.
4. No Q/DQ parts a convolution from what follows it, unless that is a convolution: TensorRT 8.6 fails there.

Sources: NVIDIA's TensorRT documentation, "Q/DQ Layer-Placement Recommendations", and the rules that its
yolo_deepstream (yolov7_qat) derives from them. Scales are symmetric, zero points 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

# Resize only moves data where it repeats the nearest pixel, as in the networks here.
_MOVERS = ("Concat", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Transpose")

_LARGEST = 127
# TensorRT refuses a scale of zero; TensorRT-RTX is given scales in half precision, which holds nothing smaller.
_SMALLEST_SCALE = 2.0**-24
# Values are counted by their leading bits as floats, 512 bins an octave: that needs no range in advance.
_DROPPED_BITS = 14
_MIDDLES = ((np.arange(1 << 31 - _DROPPED_BITS, dtype=np.int32) << _DROPPED_BITS) + (1 << _DROPPED_BITS - 1)).view(
    np.float32
)
# Values of which no scale can be made.
_INFINITE = 0x7F800000 >> _DROPPED_BITS
# Of the largest value, to clip at: 4 % apart, down to about a sixteenth.
_FRACTIONS = 2.0 ** -(np.arange(64) / 16)


@dataclass(frozen=True)
class Placement:
    """Which data is quantized.

    groups: names of tensors that get a Q/DQ, parted into those that share a scale; in the order of the graph.
    reads: pairs of tensors: a node's first output, and that of its inputs which it reads through Q/DQ.
    convolutions: names of the nodes whose weights are quantized.
    """

    groups: tuple[tuple[str, ...], ...]
    reads: frozenset[tuple[str, str]]
    convolutions: frozenset[str]

    @property
    def tensors(self) -> list[str]:
        """Names of all tensors that get a Q/DQ."""
        return [name for group in self.groups for name in group]


def place(model: onnx.ModelProto, convolutions: Collection[str]) -> Placement:
    """Where Q/DQ stands when `convolutions`, names of nodes, compute in INT8.

    It stands in front of them and of residual sums: additions to what one of them reads. In front of Concat, Slice and
    Resize, too, it made no difference to TensorRT 8.6's plans.
    """
    nodes = model.graph.node
    made_by = {output: node for node in nodes for output in node.output}
    chosen = [node for node in nodes if node.op_type == "Conv" and node.name in convolutions]
    reads = {(node.output[0], node.input[0]) for node in chosen}
    quantized = {tensor for _, tensor in reads}

    def quantizable(name: str) -> bool:
        return name in quantized or (name in made_by and made_by[name].op_type != "Conv")

    for node in nodes:
        if node.op_type == "Add" and quantized & set(node.input):
            reads |= {(node.output[0], name) for name in node.input if quantizable(name)}
    placed = {tensor for _, tensor in reads}
    return Placement(tuple(_groups(model, placed)), frozenset(reads), frozenset(node.name for node in chosen))


def calibrate(model: onnx.ModelProto, placement: Placement, inputs: Iterable[dict[str, Any]]) -> list[float]:
    """The scale of each group of `placement`: the one with the smallest mean squared error, each tensor counting alike.

    On val this kept more of mAP50-95 at 640 and 320 together than percentiles did: docs/training.md.
    inputs: what an ONNX Runtime session runs on, name to array. Raises ValueError where there is none, and where a
    tensor holds an infinite value or one that is no number.
    """
    import onnxruntime

    tensors = placement.tensors
    if not tensors:  # ONNX Runtime takes no outputs for all of them
        return []
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors)
    session = onnxruntime.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    counts = {name: np.zeros(len(_MIDDLES), np.int64) for name in tensors}
    for values in inputs:
        for name, found in zip(tensors, session.run(tensors, values), strict=True):
            counts[name] += np.bincount(np.abs(found).view(np.int32).ravel() >> _DROPPED_BITS, minlength=len(_MIDDLES))
    if not all(count.any() for count in counts.values()):
        raise ValueError("no pair of frames to calibrate on: give two images or more")
    if endless := [name for name, count in counts.items() if count[_INFINITE:].any()]:
        raise ValueError(f"{endless[0]} holds infinite values, or some that are no numbers: are the weights sound?")
    return [_best_scale([counts[name] for name in group]) for group in placement.groups]


def insert(model: onnx.ModelProto, placement: Placement, scales: Sequence[float]) -> onnx.ModelProto:
    """A copy of `model`, of float weights, with Q/DQ at `placement`; scales: of each of its groups.

    Weights have a scale for each output channel, by its largest weight; each convolution needs weights of its own.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    pairs: dict[str, list[NodeProto]] = {}
    for group, scale in zip(placement.groups, scales, strict=True):
        parameters = _parameters(graph, group[0], np.array(scale))
        pairs |= {name: _pair(name, parameters) for name in group}
    ordered = [node for value in graph.input for node in pairs.get(value.name, ())]
    for node in graph.node:
        if node.name in placement.convolutions:
            ordered += _quantized_weights(graph, node, weights)
        for index, name in enumerate(node.input):
            if (node.output[0], name) in placement.reads:
                node.input[index] = pairs[name][1].output[0]
        ordered.append(node)
        ordered += [one for name in node.output for one in pairs.get(name, ())]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.checker.check_model(result)
    return result


def _moved(node: NodeProto) -> list[str]:
    """The inputs of one of _MOVERS that hold data, not sizes."""
    return list(node.input if node.op_type == "Concat" else node.input[:1])


def _groups(model: onnx.ModelProto, placed: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Parts `placed` into tensors that must share a scale: those that movers connect."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while name in parent:
            name = parent[name]
        return name

    for node in model.graph.node:
        if node.op_type in _MOVERS:
            first, *others = _moved(node) + list(node.output)
            for other in others:
                if root(other) != root(first):
                    parent[root(other)] = root(first)
    order = [value.name for value in model.graph.input] + [name for node in model.graph.node for name in node.output]
    groups: dict[str, list[str]] = {}
    for name in order:
        if name in placed:
            groups.setdefault(root(name), []).append(name)
    return map(tuple, groups.values())


def _best_scale(counts: Sequence[NDArray[np.int64]]) -> float:
    """The scale with the smallest mean squared error, summed over tensors; counts: their values by _MIDDLES."""
    held = np.flatnonzero(np.sum(counts, axis=0))
    values = _MIDDLES[held]
    shares = np.sum([count[held] / count.sum() for count in counts], axis=0)
    candidates = np.maximum(values[-1] * _FRACTIONS / _LARGEST, _SMALLEST_SCALE)
    errors = [shares @ (np.minimum(np.rint(values / scale), _LARGEST) * scale - values) ** 2 for scale in candidates]
    return float(candidates[np.argmin(errors)])


def _quantized_weights(
    graph: onnx.GraphProto, node: NodeProto, weights: dict[str, onnx.TensorProto]
) -> list[NodeProto]:
    """Q/DQ for the weights of a convolution, (output channels, ...), which reads them from then on."""
    name = node.input[1]
    values = np.abs(numpy_helper.to_array(weights[name]))
    largest = values.max(axis=tuple(range(1, values.ndim)))
    pair = _pair(name, _parameters(graph, name, np.maximum(largest / _LARGEST, _SMALLEST_SCALE)), axis=0)
    node.input[1] = pair[1].output[0]
    return pair


def _parameters(graph: onnx.GraphProto, name: str, scale: NDArray[Any]) -> list[str]:
    """Adds a scale and its zero point to the graph; returns their names."""
    names = [f"{name}_scale", f"{name}_zero_point"]
    for label, values in zip(names, (scale.astype(np.float32), np.zeros(scale.shape, np.int8)), strict=True):
        graph.initializer.append(numpy_helper.from_array(values, label))
    return names


def _pair(name: str, parameters: list[str], **attributes: int) -> list[NodeProto]:
    """QuantizeLinear and DequantizeLinear behind the tensor `name`."""
    quantized, real = f"{name}_quantized", f"{name}_dequantized"
    return [
        helper.make_node("QuantizeLinear", [name, *parameters], [quantized], name=f"{name}_quantize", **attributes),
        helper.make_node("DequantizeLinear", [quantized, *parameters], [real], name=f"{name}_dequantize", **attributes),
    ]
