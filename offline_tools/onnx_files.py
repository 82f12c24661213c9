# SPDX-License-Identifier: AGPL-3.0-only
"""Smaller ONNX files with the same network in them.

`compact` stores large float32 weights as float16 behind a Cast, and weights that already pass through
QuantizeLinear as the int8 numbers which that yields. `expand` undoes both, for parsers that want float
weights in place (TensorRT 8.6 takes neither int8 initializers nor a Cast in front of a convolution's
weights). A runtime computes with the same numbers before and after `expand`.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SMALLEST_STORED_AS_HALF = 256
_STORED = "_stored"


def compact(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with weights stored in half the bytes, or a quarter where they are quantized.

    Float16 storage rounds each weight to 11 bits of mantissa; int8 storage is exact.
    """
    model = _copy(model)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "QuantizeLinear" and node.input[0] in weights:
            _store_quantized(graph, node, weights)
    # Quantization parameters and the shapes of small constants stay as they are.
    used_by_qdq = {name for node in graph.node if node.op_type.endswith("izeLinear") for name in node.input[1:]}
    for tensor in list(graph.initializer):
        large = np.prod(tensor.dims, dtype=int) >= _SMALLEST_STORED_AS_HALF
        if tensor.data_type == TensorProto.FLOAT and large and tensor.name not in used_by_qdq:
            _store_half(graph, tensor)
    onnx.checker.check_model(model)
    return model


def expand(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with float32 weights in place: the inverse of `compact`, up to float16 rounding."""
    model = _copy(model)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        stored = weights.get(node.input[0]) if node.input else None
        if stored is None:
            continue
        values = numpy_helper.to_array(stored)
        if node.op_type == "Cast" and values.dtype == np.float16 and _cast_target(node) == TensorProto.FLOAT:
            _replace(graph, stored, values.astype(np.float32), node.output[0])
            graph.node.remove(node)
        elif node.op_type == "DequantizeLinear" and values.dtype == np.int8:
            _restore_quantize(graph, node, stored, weights)
    onnx.checker.check_model(model)
    return model


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _cast_target(node: onnx.NodeProto) -> int:
    return next(attribute.i for attribute in node.attribute if attribute.name == "to")


def _replace(graph: onnx.GraphProto, old: onnx.TensorProto, values: np.ndarray, name: str) -> None:
    graph.initializer.remove(old)
    graph.initializer.append(numpy_helper.from_array(values, name))


def _store_half(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    name = tensor.name
    _replace(graph, tensor, numpy_helper.to_array(tensor).astype(np.float16), name + _STORED)
    graph.node.insert(0, helper.make_node("Cast", [name + _STORED], [name], to=TensorProto.FLOAT, name=name + "_cast"))


def _store_quantized(graph: onnx.GraphProto, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> None:
    tensor, scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    quantized = np.rint(tensor / _along(scale, axis, tensor.ndim)) + _along(zero, axis, tensor.ndim)
    _replace(graph, weights[node.input[0]], np.clip(quantized, -128, 127).astype(np.int8), node.output[0])
    graph.node.remove(node)


def _restore_quantize(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    stored: onnx.TensorProto,
    weights: dict[str, onnx.TensorProto],
) -> None:
    quantized = numpy_helper.to_array(stored)
    scale = numpy_helper.to_array(weights[node.input[1]])
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    real = quantized.astype(np.float32) * _along(scale, axis, quantized.ndim)
    name = stored.name
    _replace(graph, stored, real, name + "_float")
    quantize = helper.make_node(
        "QuantizeLinear", [name + "_float", *node.input[1:]], [name], axis=axis, name=name + "_quantize"
    )
    graph.node.insert(list(graph.node).index(node), quantize)


def _along(values: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    """A per-channel vector shaped to broadcast along `axis` of a tensor of so many dimensions."""
    if values.ndim == 0 or values.size == 1:
        return values.reshape(())
    shape = [1] * dimensions
    shape[axis] = -1
    return values.reshape(shape)
