# SPDX-License-Identifier: Apache-2.0
"""A small network that keeps the engine contract, for tests of what is done to networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from doubles import MANIFEST_640
from onnx import TensorProto, helper, numpy_helper

from cone_detector.engine.manifest import file_sha256, write_manifest


def network(quantized: bool = False) -> onnx.ModelProto:
    """uint8 (2, 384, 640, 3) to rows (2, 300, 6): three convolutions, between bytes and something like decoding.

    Rows are boxes of any shape, a score and class 0; they are not sorted.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.2, (8, 3, 16, 16)),
        "w2": rng.normal(0, 0.2, (8, 8, 3, 3)),
        "w3": rng.normal(0, 0.2, (6, 8, 1, 1)),
        "scale": np.array(255.0),
        "size": np.array([640.0, 640.0, 640.0, 640.0, 1.0, 0.0]),
    }
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    tensors += [
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in (("flat", [2, 6, 960]), ("first", [0]), ("last", [300]), ("axis", [2]))
    ]
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "scale"], ["image"]),
    ]
    flow = "image"
    for number, attributes in enumerate(({"strides": [16, 16]}, {"pads": [1, 1, 1, 1]}, {}), start=1):
        weight = f"w{number}"
        if quantized and number < 3:
            flow, weight = (_quantize(nodes, tensors, name, scale) for name, scale in ((flow, 0.01), (weight, 0.005)))
        nodes.append(helper.make_node("Conv", [flow, weight], [f"c{number}"], name=f"conv{number}", **attributes))
        nodes.append(helper.make_node("Sigmoid", [f"c{number}"], [f"s{number}"]))
        flow = f"s{number}"
    nodes += [
        helper.make_node("Reshape", [flow, "flat"], ["anchors"]),
        helper.make_node("Slice", ["anchors", "first", "last", "axis"], ["best"]),
        helper.make_node("Transpose", ["best"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["rows", "size"], ["detections"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [2, 384, 640, 3])],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, [2, 300, 6])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def unusable_network() -> onnx.ModelProto:
    """The network with an operator that TensorRT does not have."""
    model = network()
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Bernoulli"
    return model


def save(folder: Path, quantized: bool = False, name: str = "640") -> Path:
    """Writes the network and its manifest; returns the manifest's path."""
    file = folder / f"small-{name}{'-qdq' if quantized else ''}.onnx"
    onnx.save(network(quantized), file)
    digest = file_sha256(file)
    manifest = replace(
        MANIFEST_640, model="small", name=name, file=file.name, file_sha256=digest, onnx_sha256=digest,
        qdq=quantized, precision="int8" if quantized else "fp32",
    )  # fmt: skip
    path = file.with_suffix(".json")
    write_manifest(path, manifest)
    return path


def _quantize(nodes: list[onnx.NodeProto], tensors: list[TensorProto], name: str, scale: float) -> str:
    """Puts Q/DQ, symmetric and per tensor, behind a tensor; returns the name of the result."""
    tensors.append(numpy_helper.from_array(np.array(scale, np.float32), f"{name}_scale"))
    tensors.append(numpy_helper.from_array(np.array(0, np.int8), f"{name}_zero"))
    parameters = [f"{name}_scale", f"{name}_zero"]
    nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}_q"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *parameters], [f"{name}_dq"]))
    return f"{name}_dq"
