# SPDX-License-Identifier: Apache-2.0
"""What is rewritten for OpenVINO's sake finds what the network found, with less work."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cone_detector.engine.openvino_graph import spare_work

ov = pytest.importorskip("openvino")
ENGINES = Path(__file__).resolve().parents[1] / "engines"


def kinds(model):
    return Counter(op.get_type_name() for op in model.get_ordered_ops())


def weights(model):
    convolutions = [op for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"]
    return Counter(op.input_value(1).get_node().get_type_name() for op in convolutions)


def answer(model):
    shape = tuple(model.inputs[0].shape)
    frames = np.random.default_rng(5).integers(0, 256, shape, np.uint8)
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return ov.Core().compile_model(model, "CPU", options)({0: frames})[0]


def test_a_float_network_locates_the_same_boxes_from_its_best_anchors_alone():
    file = ENGINES / "yolo11n-320.onnx"
    plain, rewritten = ov.Core().read_model(file), ov.Core().read_model(file)
    spare_work(rewritten)
    # The box heads of three strides have become products of the best anchors alone.
    assert kinds(rewritten)["Convolution"] == kinds(plain)["Convolution"] - 3
    np.testing.assert_allclose(answer(rewritten), answer(plain), rtol=1e-3, atol=1e-2)


def test_an_int8_network_has_a_convolution_for_each_part_of_what_was_cut_and_they_stay_int8():
    file = ENGINES / "yolo11n-320-int8-openvino.xml"
    plain, rewritten = ov.Core().read_model(file), ov.Core().read_model(file)
    spare_work(rewritten)
    before, after = kinds(plain), kinds(rewritten)
    assert after["Slice"] == 0 < before["Slice"]
    assert after["Convolution"] == before["Convolution"] - 3 + before["Slice"] // 2
    # Behind an INT8 weight lies a product with its scale, behind a float one nothing.
    assert weights(rewritten)["Multiply"] == weights(plain)["Multiply"] + before["Slice"] // 2
    assert weights(rewritten)["Constant"] == weights(plain)["Constant"] - 3
    scores, expected = (answer(model)[..., 4] for model in (rewritten, plain))
    np.testing.assert_allclose(scores, expected, atol=0.02)


def test_a_network_of_another_shape_stays_as_it_is():
    from openvino import opset13 as ops

    frames = ops.parameter([1, 8, 8, 3], np.float32)
    halves = ops.slice(ops.relu(frames), [0], [4], [1], [1])
    model = ov.Model([ops.gather_elements(halves, ops.constant(np.zeros((1, 4, 8, 3), np.int64)), 1)], [frames])
    before = kinds(model)
    spare_work(model)
    assert kinds(model) == before
