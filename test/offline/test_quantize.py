# SPDX-License-Identifier: AGPL-3.0-only
"""INT8 stands where the runtimes accept it and where it does no harm, calibrated on frames that are no test frames."""

import shutil

import numpy as np
import onnx
import pytest
from networks import convolutions
from pictures import write_yolo

from cone_detector.engine.manifest import check_file, read_manifest
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.guard import SplitGuard, TestLeakError, register
from offline_tools.datasets.prepare import Source
from offline_tools.onnx_engine import open_engine
from offline_tools.onnx_files import expand
from offline_tools.quantize import calibration_frames, quantize_openvino, quantize_qdq


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantize")
    root = write_yolo(folder / "data", {"train": range(8), "test": range(8, 10)})
    register(read_dataset(root).splits["test"], folder / "registry.json")
    guard = SplitGuard.load(folder / "registry.json")
    frames = calibration_frames(Source(root), "train", guard, count=8)
    return convolutions(folder / "float"), frames, folder, guard


def infer(manifest, canvas):
    engine = open_engine(manifest)
    engine.slots[0][:] = canvas
    rows = engine.infer("640", 0).copy()
    engine.close()
    return rows


@pytest.mark.parametrize("quantize", [quantize_qdq, quantize_openvino])
def test_int8_answers_nearly_as_float(world, quantize):
    source, frames, folder, _ = world
    if quantize is quantize_openvino:
        pytest.importorskip("nncf", reason="NNCF is not installed: config/requirements/offline.txt")
    target = quantize(source, frames, folder / "int8")
    manifest = read_manifest(target)
    check_file(target, manifest)
    assert manifest.precision == "int8"
    assert manifest.qdq is (quantize is quantize_qdq)
    assert manifest.calibration.split == "train"
    assert manifest.calibration.images == 8
    assert manifest.onnx_sha256 == read_manifest(source).file_sha256
    canvas = next(frames.canvases((640, 384)))
    expected = infer(source, canvas)
    np.testing.assert_allclose(infer(target, canvas), expected, atol=0.08 * np.ptp(expected))


def test_qdq_stands_on_ordinary_inner_convolutions_only(world):
    source, frames, folder, _ = world
    target = quantize_qdq(source, frames, folder / "int8")
    graph = expand(onnx.load(target.with_name(read_manifest(target).file))).graph
    made_by = {output: node for node in graph.node for output in node.output}
    quantized = {
        node.name
        for node in graph.node
        if node.op_type == "Conv" and made_by[node.input[0]].op_type == "DequantizeLinear"
    }
    assert quantized == {"first", "inner"}
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            assert not values[node.input[2]].any(), "TensorRT takes symmetric scales only"
            assert (values[node.input[1]] > 0).all(), "TensorRT refuses a scale of zero"


def test_a_test_image_in_the_calibration_folder_is_caught(world, tmp_path):
    _, frames, _, guard = world
    root = tmp_path / "data"
    shutil.copytree(frames.source.path, root)
    shutil.copy(root / "images/test/clip_0008.png", root / "images/train/clip_0900.png")
    with pytest.raises(TestLeakError, match="calibration"):
        calibration_frames(Source(root), "train", guard, count=8)


def test_too_few_frames_are_refused(world):
    _, frames, _, guard = world
    with pytest.raises(DatasetError, match="holds 8 images, calibration needs 300"):
        calibration_frames(frames.source, "train", guard)


def test_an_int8_file_is_not_quantized_again(world):
    source, frames, folder, _ = world
    target = quantize_qdq(source, frames, folder / "int8")
    with pytest.raises(DatasetError, match="give the float ONNX"):
        quantize_qdq(target, frames, folder / "twice")
