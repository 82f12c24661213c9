# SPDX-License-Identifier: AGPL-3.0-only
"""Small ONNX networks that keep the engine contract, for what must be tested without a trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cone_detector.classes import CLASS_NAMES
from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME, ROWS
from cone_detector.engine.manifest import Manifest, Runtime, file_sha256, write_manifest

CANVAS = (640, 384)


def _save(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], directory: Path, name: str) -> Path:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, (2, CANVAS[1], CANVAS[0], 3))],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, (2, ROWS, 6))],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-640.onnx"
    onnx.save(model, path)
    digest = file_sha256(path)
    manifest = Manifest(
        name, "640", path.name, digest, digest, CLASS_NAMES, CANVAS, CANVAS, (16, 9), "fp32", True, False,
        Runtime("onnx", "opset 17"),
    )  # fmt: skip
    write_manifest(path.with_suffix(".json"), manifest)
    return path.with_suffix(".json")


def on_canvas(*cones: tuple[float, ...]) -> NDArray[np.float32]:
    """Rows of the contract for cones x, y, w, h (fractions of a 16:9 image), score, class: 12 pixels of padding."""
    x, y, w, h, score, label = np.array(cones).T
    scale = np.array([640, 360, 640, 360])[:, None]
    x, y, w, h = np.array([x, y, w, h]) * scale
    return np.stack((x - w / 2, y - h / 2 + 12, x + w / 2, y + h / 2 + 12, score, label), axis=1).astype(np.float32)


def oracle(directory: Path, rows: NDArray[np.float32], name: str = "oracle") -> Path:
    """A network that answers each image with the same `rows`, (N, 6), whatever it shows."""
    full = np.zeros((2, ROWS, 6), np.float32)
    full[:, : len(rows)] = rows
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["real"], ["low"], keepdims=0),
        helper.make_node("Mul", ["low", "nothing"], ["zero"]),
        helper.make_node("Add", ["rows", "zero"], [OUTPUT_NAME]),
    ]
    tensors = [numpy_helper.from_array(full, "rows"), numpy_helper.from_array(np.float32(0), "nothing")]
    return _save(nodes, tensors, directory, name)


def convolutions(directory: Path, name: str = "convolutions") -> Path:
    """Four convolutions, the second grouped, the last of which makes the rows."""
    draw = np.random.default_rng(7)

    def weights(label: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(draw.normal(0, 0.4, shape).astype(np.float32), label)

    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["image", "scale"], ["unit"]),
        helper.make_node("AveragePool", ["unit"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Conv", ["small", "w0"], ["c0"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["a0"]),
        helper.make_node("Conv", ["a0", "w1"], ["c1"], name="grouped", pads=[1, 1, 1, 1], group=16),
        helper.make_node("Relu", ["c1"], ["a1"]),
        helper.make_node("Conv", ["a1", "w2"], ["c2"], name="inner"),
        helper.make_node("Relu", ["c2"], ["a2"]),
        helper.make_node("Conv", ["a2", "w3"], ["c3"], name="last"),
        helper.make_node("Reshape", ["c3", "flat"], ["wide"]),
        helper.make_node("Transpose", ["wide"], ["long"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["long", "from", "to", "axis"], [OUTPUT_NAME]),
    ]
    tensors = [
        numpy_helper.from_array(np.float32(1 / 255), "scale"),
        weights("w0", 16, 3, 3, 3), weights("w1", 16, 1, 3, 3), weights("w2", 16, 16, 1, 1), weights("w3", 6, 16, 1, 1),
        numpy_helper.from_array(np.array([2, 6, -1]), "flat"), numpy_helper.from_array(np.array([0]), "from"),
        numpy_helper.from_array(np.array([ROWS]), "to"), numpy_helper.from_array(np.array([1]), "axis"),
    ]  # fmt: skip
    return _save(nodes, tensors, directory, name)


def residual(directory: Path, name: str = "residual") -> Path:
    """What YOLO11 is made of: parted channels, residual sums, pooling and resizing side by side, joined again.

    Convolutions by name: "first"; "enter" and "leave" within a residual block; "mix" behind its Concat; "narrow" behind
    MaxPool, Resize and Concat; "project", added without an activation; "grouped" and "deep" side by side; "last", which
    makes the rows.
    """
    draw = np.random.default_rng(11)
    tensors = [
        numpy_helper.from_array(np.float32(1 / 255), "scale"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"),
        numpy_helper.from_array(np.array([2, 6, -1]), "flat"),
    ]
    tensors += [numpy_helper.from_array(np.array([value]), f"n{value}") for value in (0, 1, 8, 16, ROWS)]

    def convolution(source: str, label: str, shape: tuple[int, int, int], group: int = 1) -> onnx.NodeProto:
        """shape: output channels, input channels of a group, side of the kernel. Its output is called c_LABEL."""
        out, channels, side = shape
        values = draw.normal(0, (channels * side * side) ** -0.5, (out, channels, side, side)).astype(np.float32)
        tensors.append(numpy_helper.from_array(values, f"w_{label}"))
        pads = [side // 2] * 4
        return helper.make_node("Conv", [source, f"w_{label}"], [f"c_{label}"], name=label, pads=pads, group=group)

    def activated(source: str, label: str, shape: tuple[int, int, int], group: int = 1) -> list[onnx.NodeProto]:
        """The same with SiLU behind it, whose output is called LABEL."""
        return [
            convolution(source, label, shape, group),
            helper.make_node("Sigmoid", [f"c_{label}"], [f"g_{label}"]),
            helper.make_node("Mul", [f"c_{label}", f"g_{label}"], [label]),
        ]

    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["image", "scale"], ["unit"]),
        helper.make_node("AveragePool", ["unit"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        *activated("small", "first", (16, 3, 3)),
        helper.make_node("Slice", ["first", "n0", "n8", "n1"], ["left"]),
        helper.make_node("Slice", ["first", "n8", "n16", "n1"], ["right"]),
        *activated("right", "enter", (8, 8, 3)),
        *activated("enter", "leave", (8, 8, 3)),
        helper.make_node("Add", ["right", "leave"], ["sum"]),
        helper.make_node("Concat", ["left", "right", "sum"], ["joined"], axis=1),
        *activated("joined", "mix", (16, 24, 1)),
        helper.make_node("MaxPool", ["mix"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["pooled", "", "twice"], ["resized"], mode="nearest"),
        helper.make_node("Concat", ["mix", "resized"], ["scales"], axis=1),
        *activated("scales", "narrow", (16, 32, 1)),
        convolution("narrow", "project", (16, 16, 1)),
        helper.make_node("Add", ["narrow", "c_project"], ["projected"]),
        *activated("projected", "grouped", (16, 1, 3), group=16),
        *activated("projected", "deep", (16, 16, 1)),
        helper.make_node("Add", ["grouped", "deep"], ["ends"]),
        convolution("ends", "last", (6, 16, 1)),
        helper.make_node("Reshape", ["c_last", "flat"], ["wide"]),
        helper.make_node("Transpose", ["wide"], ["long"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["long", "n0", f"n{ROWS}", "n1"], [OUTPUT_NAME]),
    ]
    return _save(nodes, tensors, directory, name)
