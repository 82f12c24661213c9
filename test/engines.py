# SPDX-License-Identifier: Apache-2.0
"""A small real engine for tests: an OpenVINO network that finds patches painted in the classes' colours.

It obeys the engine contract and runs on the real runtime, so a test can paint cones and know the answer to the pixel.
The canvas is cut into columns of `COLUMN` canvas pixels; a column shows at most one patch of each class, which must
not cross its border. A patch's score is the share of its box that has the colour, up to 0.95.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_NAMES
from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME, ROWS
from cone_detector.engine.manifest import Manifest, Runtime, file_sha256, write_manifest

CANVAS = (640, 384)
COLUMN = 64
_COLUMNS = CANVAS[0] // COLUMN
_CODE = np.array([1.0, 256.0, 65536.0], np.float32)
_FAR = 1e4


def write_engines(folder: Path, model: str = "patches") -> Path:
    """Writes the 320 and the 640 network with their manifests into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, factor in (("320", 2), ("640", 1)):
        file = folder / f"{model}-{name}.xml"
        ov.save_model(patch_network(factor), file, compress_to_fp16=False)
        manifest = Manifest(
            model=model,
            name=name,
            file=file.name,
            file_sha256=file_sha256(file),
            onnx_sha256="0" * 64,
            classes=CLASS_NAMES,
            canvas=CANVAS,
            network=(CANVAS[0] // factor, CANVAS[1] // factor),
            camera_aspect=(16, 9),
            precision="fp32",
            nms=False,
            qdq=False,
            runtime=Runtime("openvino", ov.__version__.split("-")[0]),
        )
        write_manifest(file.with_suffix(".json"), manifest)
    return folder


def patch_network(factor: int) -> ov.Model:
    """The network, which first averages squares of `factor` canvas pixels, as the contract says for "320"."""
    width, height = CANVAS[0] // factor, CANVAS[1] // factor
    classes = len(CLASS_NAMES)
    frames = ops.parameter([2, CANVAS[1], CANVAS[0], 3], np.uint8, name=INPUT_NAME)
    frames.output(0).set_names({INPUT_NAME})
    pixels = ops.convert(frames, np.float32)
    pixels = ops.reshape(pixels, _ints(2, height, factor, width, factor, 3), False)
    pixels = ops.reduce_mean(pixels, _ints(2, 4), False)  # (2, H, W, 3)

    # One number a colour, exact in float32: below 2 ** 24.
    code = ops.reduce_sum(ops.multiply(pixels, ops.constant(_CODE)), _ints(3), True)  # (2, H, W, 1)
    mask = ops.convert(ops.equal(code, ops.constant(np.array(CLASS_COLOURS_BGR, np.float32) @ _CODE)), np.float32)
    mask = ops.reshape(mask, _ints(2, height, _COLUMNS, width // _COLUMNS, classes), False)

    x = np.arange(width, dtype=np.float32).reshape(1, _COLUMNS, -1, 1) * factor
    y = np.arange(height, dtype=np.float32).reshape(1, -1, 1, 1) * factor
    x1, x2 = _extent(ops.reduce_max(mask, _ints(1), False), x, 2, factor)  # (2, columns, classes)
    y1, y2 = _extent(ops.reduce_max(mask, _ints(3), False), y, 1, factor)
    count = ops.multiply(ops.reduce_sum(mask, _ints(1, 3), False), ops.constant(np.float32(factor * factor)))
    area = ops.multiply(ops.subtract(x2, x1), ops.subtract(y2, y1))
    filled = ops.minimum(ops.divide(count, area), ops.constant(np.float32(0.95)))
    # A few pixels of a class's colour (a box's border, a blurred edge) are no patch.
    score = ops.select(ops.greater(count, ops.constant(np.float32(16))), filled, ops.constant(np.float32(0)))
    label = np.broadcast_to(np.arange(classes, dtype=np.float32), (2, _COLUMNS, classes))

    parts = [x1, y1, x2, y2, score, ops.constant(label.copy())]
    rows = ops.concat([ops.reshape(part, _ints(2, _COLUMNS * classes, 1), False) for part in parts], 2)
    flat_score = ops.reshape(score, _ints(2, _COLUMNS * classes), False)
    best = ops.topk(flat_score, ops.constant(np.int32(_COLUMNS * classes)), 1, "max", "value")
    rows = ops.gather(rows, best.output(1), ops.constant(np.int32(1)), 1)
    padding = ops.constant(np.zeros((2, ROWS - _COLUMNS * classes, 6), np.float32))
    result = ops.result(ops.concat([rows, padding], 1))
    result.output(0).set_names({OUTPUT_NAME})
    return ov.Model([result], [frames], f"patches of {factor}")


def _extent(present: ov.Node, place: np.ndarray, axis: int, step: int) -> tuple[ov.Node, ov.Node]:
    """First and last place along `axis` where `present` is 1, the last one's end; far apart where it is nowhere."""
    there = ops.greater(present, ops.constant(np.float32(0.5)))
    first = ops.select(there, ops.constant(place), ops.constant(np.float32(_FAR)))
    last = ops.select(there, ops.constant(place + step), ops.constant(np.float32(-_FAR)))
    return ops.reduce_min(first, _ints(axis), False), ops.reduce_max(last, _ints(axis), False)


def paint(image: np.ndarray, label: int, box: tuple[int, int, int, int]) -> None:
    """Paints a patch of class `label` into a 1280x720 BGR image.

    box: x1, y1, x2, y2 in its pixels; found to the pixel by both passes where all four are multiples of 4.
    """
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = CLASS_COLOURS_BGR[label]


def _ints(*values: int) -> ov.Node:
    return ops.constant(np.array(values, np.int64))
