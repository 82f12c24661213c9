# SPDX-License-Identifier: AGPL-3.0-only
"""A compact file is the same network: int8 storage exactly, float16 storage up to rounding."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from offline_tools.onnx_files import compact, expand

SHAPE = (1, 8, 10, 12)


def network(quantized):
    """A convolution of 16 filters, its weights plain or behind QuantizeLinear and DequantizeLinear."""
    draw = np.random.default_rng(3)
    weights = draw.normal(0, 0.2, (16, 8, 3, 3)).astype(np.float32)
    tensors = [numpy_helper.from_array(weights, "weights")]
    nodes = []
    if quantized:
        scale = (np.abs(weights).max((1, 2, 3)) / 127).astype(np.float32)
        tensors += [
            numpy_helper.from_array(scale, "scale"),
            numpy_helper.from_array(np.zeros(16, np.int8), "zero"),
        ]
        nodes = [
            helper.make_node("QuantizeLinear", ["weights", "scale", "zero"], ["int8"], axis=0),
            helper.make_node("DequantizeLinear", ["int8", "scale", "zero"], ["real"], axis=0),
        ]
    nodes.append(helper.make_node("Conv", ["x", "real" if quantized else "weights"], ["y"], pads=[1, 1, 1, 1]))
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 16, 10, 12))],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(5).normal(0, 1, SHAPE).astype(np.float32)})[0]


def stored_types(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_quantized_weights_are_stored_as_int8_exactly():
    original = network(quantized=True)
    small = compact(original)
    assert TensorProto.FLOAT not in {t for name, t in stored_types(small).items() if name not in ("scale",)}
    np.testing.assert_array_equal(run(small), run(original))
    np.testing.assert_array_equal(run(expand(small)), run(original))


def test_expanded_weights_stand_in_place_of_int8():
    model = expand(compact(network(quantized=True)))
    assert TensorProto.INT8 not in {t for name, t in stored_types(model).items() if name != "zero"}
    assert [node.op_type for node in model.graph.node] == ["QuantizeLinear", "DequantizeLinear", "Conv"]


def test_float_weights_are_stored_in_half():
    original = network(quantized=False)
    small = compact(original)
    assert len(small.SerializeToString()) < 0.6 * len(original.SerializeToString())
    np.testing.assert_allclose(run(small), run(original), atol=5e-3)


def test_expanding_restores_one_plain_convolution():
    small = compact(network(quantized=False))
    model = expand(small)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    np.testing.assert_array_equal(run(model), run(small))


@pytest.mark.parametrize("change", [compact, expand])
def test_the_given_model_stays_as_it_is(change):
    model = network(quantized=True)
    before = onnx.ModelProto()
    before.CopyFrom(model)
    change(model)
    assert model == before
