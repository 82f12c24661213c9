# SPDX-License-Identifier: AGPL-3.0-only
"""Q/DQ stands where int8 can pass from one layer to the next, and its scales fit what flows there."""

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import residual
from onnx import TensorProto, helper, numpy_helper

from offline_tools.onnx_files import compact, expand
from offline_tools.qdq import calibrate, insert, place

QUANTIZED = ("first", "enter", "leave", "mix", "narrow", "project", "deep")
FRAMES = np.random.default_rng(1).integers(0, 256, (2, 384, 640, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return onnx.load(residual(tmp_path_factory.mktemp("qdq")).with_suffix(".onnx"))


class Inserted:
    """A network with Q/DQ: which tensors have one, and what each node reads."""

    def __init__(self, model):
        self.placement = place(model, QUANTIZED)
        scales = np.arange(1, len(self.placement.groups) + 1) / 100
        self.model = insert(model, self.placement, scales.tolist())
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}
        self.pairs = [
            (node.input[0], float(values[node.input[1]]))
            for node in self.model.graph.node
            if node.op_type == "QuantizeLinear" and node.input[0] not in values
        ]
        self.scale = dict(self.pairs)
        self.made_by = {output: node for node in self.model.graph.node for output in node.output}

    def reads(self, output):
        """What the node that makes `output` reads: pairs of a tensor and whether it comes through Q/DQ."""
        found = []
        for name in self.made_by[output].input:
            dequantize = self.made_by.get(name)
            through = dequantize is not None and dequantize.op_type == "DequantizeLinear"
            found.append((self.made_by[dequantize.input[0]].input[0] if through else name, through))
        return found


@pytest.fixture(scope="module")
def inserted(model):
    return Inserted(model)


def test_a_tensor_has_one_pair_which_all_its_quantized_readers_share(inserted):
    names = [name for name, _ in inserted.pairs]
    assert sorted(names) == sorted(set(names))
    assert inserted.reads("c_enter")[0] == ("right", True)
    assert set(names) == set(inserted.placement.tensors)


@pytest.mark.parametrize(
    "together",
    [
        pytest.param({"first", "left", "right", "sum", "joined"}, id="Slice and Concat"),
        pytest.param({"mix", "pooled", "resized", "scales"}, id="MaxPool, Resize and Concat"),
    ],
)
def test_all_that_enters_and_leaves_what_only_moves_data_has_one_scale(inserted, together):
    scales = {inserted.scale[name] for name in together & set(inserted.scale)}
    assert len(scales) == 1
    assert not scales & {scale for name, scale in inserted.pairs if name not in together}


def test_residual_sums_read_both_sides_through_qdq(inserted):
    assert inserted.reads("sum") == [("right", True), ("leave", True)]


def test_nothing_parts_a_convolution_from_its_activation_or_its_sum(inserted):
    assert not {name for name in inserted.scale if inserted.made_by[name].op_type == "Conv"}
    assert ("c_project", False) in inserted.reads("projected")


@pytest.mark.parametrize("output", ["c_grouped", "c_last", "ends", "wide", "long"])
def test_what_is_to_stay_in_float_reads_floats(inserted, output):
    assert not any(through for _, through in inserted.reads(output))


def test_weights_have_a_scale_for_each_output_channel(inserted):
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in inserted.model.graph.initializer}
    for name in QUANTIZED:
        largest = np.abs(values[f"w_{name}"]).max(axis=(1, 2, 3))
        np.testing.assert_allclose(values[f"w_{name}_scale"], largest / 127, rtol=1e-6)
        assert inserted.reads(f"c_{name}")[1] == (f"w_{name}", True)


def rows(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": FRAMES})[0]


def test_int8_answers_nearly_as_float_also_from_a_compact_file(model):
    placement = place(model, QUANTIZED)
    quantized = insert(model, placement, calibrate(model, placement, [{"frames": FRAMES}]))
    expected = rows(model)
    np.testing.assert_allclose(rows(quantized), expected, atol=0.05 * np.ptp(expected))
    small = compact(quantized)
    stored = {tensor.name: tensor.data_type for tensor in small.graph.initializer}
    assert stored["w_mix_quantized"] == TensorProto.INT8
    np.testing.assert_array_equal(rows(small), rows(quantized))
    np.testing.assert_array_equal(rows(expand(small)), rows(quantized))


def test_scales_are_positive_where_nothing_flows(model):
    placement = place(model, QUANTIZED)
    scales = calibrate(model, placement, [{"frames": np.zeros_like(FRAMES)}])
    assert np.float16(scales).min() > 0, "TensorRT refuses a scale of zero; TensorRT-RTX is given half precision"
    assert np.isfinite(rows(insert(model, placement, scales))).all()


def relu_and_convolution(shape):
    nodes = [
        helper.make_node("Relu", ["x"], ["flowing"]),
        helper.make_node("Conv", ["flowing", "w"], ["y"], name="only"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    weights = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("outlier", "lowest", "highest"),
    [
        pytest.param(1.0, 0.95, 1.01, id="even values use the whole range"),
        pytest.param(10.0, 2.0, 8.0, id="a lone large value is clipped"),
    ],
)
def test_the_scale_is_that_of_the_smallest_squared_error(outlier, lowest, highest):
    values = np.random.default_rng(2).uniform(0, 1, (1, 1, 250, 400)).astype(np.float32)
    values[0, 0, 0, 0] = outlier
    model = relu_and_convolution(values.shape)
    (scale,) = calibrate(model, place(model, ["only"]), [{"x": values}])
    assert lowest < 127 * scale < highest

    def error(step):
        return np.mean((np.clip(np.rint(values / step), -127, 127) * step - values) ** 2)

    assert error(scale) <= 1.01 * min(error(scale * factor) for factor in (0.8, 0.9, 1.1, 1.25, outlier / 127 / scale))


def test_without_frames_there_is_nothing_to_calibrate_on(model):
    with pytest.raises(ValueError, match="no pair of frames"):
        calibrate(model, place(model, QUANTIZED), [])


def test_a_network_without_quantized_convolutions_has_no_scales(model):
    assert calibrate(model, place(model, []), []) == []


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_values_without_end_are_refused(value):
    model = relu_and_convolution((1, 1, 2, 2))
    model.graph.node[0].op_type = "Neg"
    with pytest.raises(ValueError, match="flowing holds infinite values"):
        calibrate(model, place(model, ["only"]), [{"x": np.array([[[[1.0, value], [0.0, 2.0]]]], np.float32)}])
