# SPDX-License-Identifier: AGPL-3.0-only
"""The kernels that a runtime starts for an ONNX file: their operations, the bytes they move, what is fused away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto

from offline_tools.onnx_files import expand

# Views, and copies that a runtime avoids by writing into the right place at once.
_FREE = {
    "Concat", "Constant", "DequantizeLinear", "Expand", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Shape",
    "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
# One value in, one value out: joined to the kernel that makes their input.
_POINTWISE = {"Add", "Cast", "Clip", "Div", "Exp", "HardSwish", "LeakyRelu", "Mul", "Pow", "Relu", "Sigmoid", "Sub"}


@dataclass(frozen=True)
class Kernel:
    """One launch. precision: "int8" or "fp16". flops: two a multiplication. Bytes in its own precision."""

    name: str
    precision: str
    flops: float
    weight_bytes: float
    activation_bytes: float

    def scaled(self, share: float) -> Kernel:
        """The same over another number of pixels."""
        return replace(self, flops=self.flops * share, activation_bytes=self.activation_bytes * share)


def kernels_of(file: Path) -> list[Kernel]:
    """The kernels of an ONNX file of the engine contract, for the batch and canvas that it is made for."""
    model = onnx.shape_inference.infer_shapes(expand(onnx.load(file)), data_prop=True)
    graph = model.graph
    shapes = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    producer = {output: node for node in graph.node for output in node.output}
    whole = {t.name for t in graph.initializer if t.data_type in (TensorProto.INT64, TensorProto.INT32)}
    kernels = []
    for node in graph.node:
        if node.op_type in _FREE or _is_fused(node, producer):
            continue
        inputs = [name for name in node.input if name and name not in whole]
        found = {name: _weight(name, weights, producer) for name in inputs}
        precision = "int8" if _is_quantized(node, producer) else "fp16"
        size = 1 if precision == "int8" else 2
        moved = [shapes.get(name, ()) for name in inputs if found[name] is None] + [shapes.get(node.output[0], ())]
        kernels.append(
            Kernel(
                node.name or node.output[0],
                precision,
                _flops(node, shapes, found),
                size * sum(math.prod(shape) for shape in found.values() if shape is not None),
                size * sum(math.prod(shape) for shape in moved if shape),
            )
        )
    return kernels


def _is_fused(node: NodeProto, producer: Mapping[str, NodeProto]) -> bool:
    """Whether a pointwise node joins the kernel before it."""
    if node.op_type not in _POINTWISE:
        return False
    makers = [producer[name] for name in node.input if name in producer]
    return any(maker.op_type not in _FREE or maker.op_type == "DequantizeLinear" for maker in makers)


def _is_quantized(node: NodeProto, producer: Mapping[str, NodeProto]) -> bool:
    maker = producer.get(node.input[0]) if node.input else None
    return node.op_type in ("Conv", "Gemm", "MatMul") and maker is not None and maker.op_type == "DequantizeLinear"


def _weight(
    name: str, weights: Mapping[str, tuple[int, ...]], producer: Mapping[str, NodeProto]
) -> tuple[int, ...] | None:
    """Shape of a stored tensor, also behind quantization; None for what the network computes."""
    while name not in weights:
        maker = producer.get(name)
        if maker is None or maker.op_type not in ("DequantizeLinear", "QuantizeLinear"):
            return None
        name = maker.input[0]
    return weights[name]


def _flops(
    node: NodeProto, shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, tuple[int, ...] | None]
) -> float:
    out = math.prod(shapes.get(node.output[0], (0,)))
    if node.op_type == "Conv":
        kernel = weights[node.input[1]]
        return 2.0 * out * math.prod(kernel[1:]) if kernel else 0.0
    if node.op_type in ("MatMul", "Gemm"):
        return 2.0 * out * (shapes.get(node.input[0]) or (0,))[-1]
    return 0.0
