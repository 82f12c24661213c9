# SPDX-License-Identifier: AGPL-3.0-only
"""The ONNX for a strongly typed network: half precision between the first and the last convolutions.

TensorRT 11 and TensorRT-RTX compute each layer in the type that the file gives it, so a float32 file stays float32.
What lies before the first convolution (bytes to 0..1) and after the last ones (decoding to pixels, whose steps near
640 are half a pixel in float16) stays in float32. Quantized layers keep their int8 numbers; their scales become half.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper, version_converter

# DequantizeLinear returns float16 from here on.
_OPSET = 19
_CONVOLUTIONS = ("Conv", "ConvTranspose")
# Inputs that stay float32 whatever the others are: sizes and scales.
_FLOAT_INPUTS = {"Resize": (1, 2)}


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a float32 model, with or without Q/DQ, that computes its convolutional part in float16."""
    model = version_converter.convert_version(model, _OPSET)
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    types.update({tensor.name: tensor.data_type for tensor in graph.initializer})
    inside = _between_convolutions(graph.node)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    casts: dict[str, NodeProto] = {}
    made = {output for index in inside for output in graph.node[index].output}
    for index, node in enumerate(graph.node):
        for position, name in enumerate(node.input):
            if types.get(name) != TensorProto.FLOAT or position in _FLOAT_INPUTS.get(node.op_type, ()):
                continue
            if index in inside and name not in made:
                node.input[position] = _half_weight(graph, weights, name) or _cast(casts, name, TensorProto.FLOAT16)
            elif index not in inside and name in made:
                node.input[position] = _cast(casts, name, TensorProto.FLOAT)
    _insert(graph, casts)
    del graph.value_info[:]
    _drop_unused(graph)
    onnx.checker.check_model(model)
    return model


def _between_convolutions(nodes: Iterable[NodeProto]) -> set[int]:
    """Indices of the nodes from the first convolutions to the last, and of what dequantizes their inputs."""
    nodes = list(nodes)
    after: set[str] = set()
    descendants: set[int] = set()
    for index, node in enumerate(nodes):
        if node.op_type in _CONVOLUTIONS or any(name in after for name in node.input):
            descendants.add(index)
            after.update(node.output)
    before: set[str] = set()
    ancestors: set[int] = set()
    for index, node in reversed(list(enumerate(nodes))):
        if node.op_type in _CONVOLUTIONS or any(name in before for name in node.output):
            ancestors.add(index)
            before.update(node.input)
    inside = descendants & ancestors
    consumed = {name for index in inside for name in nodes[index].input}
    return inside | {
        index
        for index, node in enumerate(nodes)
        if node.op_type == "DequantizeLinear" and any(name in consumed for name in node.output)
    }


def _half_weight(graph: onnx.GraphProto, weights: dict[str, TensorProto], name: str) -> str | None:
    """The name of a half copy of an initializer; None where `name` is none."""
    if name not in weights:
        return None
    half = f"{name}_half"
    if half not in weights:
        values = numpy_helper.to_array(weights[name]).astype(np.float16)
        weights[half] = numpy_helper.from_array(values, half)
        graph.initializer.append(weights[half])
    return half


def _cast(casts: dict[str, NodeProto], name: str, to: int) -> str:
    if name not in casts:
        output = f"{name}_{TensorProto.DataType.Name(to).lower()}"
        casts[name] = helper.make_node("Cast", [name], [output], to=to, name=f"{output}_cast")
    return str(casts[name].output[0])


def _insert(graph: onnx.GraphProto, casts: dict[str, NodeProto]) -> None:
    """Puts each cast behind the node whose output it takes, or first where it takes an input of the graph."""
    ordered: list[NodeProto] = [casts[value.name] for value in graph.input if value.name in casts]
    for node in graph.node:
        ordered.append(node)
        ordered.extend(casts[name] for name in node.output if name in casts)
    del graph.node[:]
    graph.node.extend(ordered)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
