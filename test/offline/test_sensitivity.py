# SPDX-License-Identifier: AGPL-3.0-only
"""Parts of a network are quantized one at a time, by their names, and the rest is the float network again."""

import numpy as np
import onnx
import pytest
from networks import convolutions, residual
from pictures import write_yolo

from cone_detector.engine.manifest import ManifestError, read_manifest
from offline_tools.datasets import read_dataset
from offline_tools.datasets.guard import SplitGuard, register
from offline_tools.datasets.prepare import Source
from offline_tools.onnx_files import expand
from offline_tools.quantize import calibration_frames, quantize_qdq
from offline_tools.sensitivity import keep_quantized, part_of, quantized_parts, restore_weights, sweep


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensitivity")
    root = write_yolo(folder / "data", {"train": range(4), "val": range(4, 8), "test": range(8, 10)})
    register(read_dataset(root).splits["test"], folder / "registry.json")
    guard, source = SplitGuard.load(folder / "registry.json"), Source(root)
    float_manifest = convolutions(folder)
    frames = calibration_frames(source, "train", guard, count=4)
    return float_manifest, quantize_qdq(float_manifest, frames, folder), source, guard


def rows(model):
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(1).integers(0, 256, (2, 384, 640, 3), dtype=np.uint8)
    return session.run(None, {"frames": frames})[0]


@pytest.mark.parametrize(
    ("node", "part"),
    [
        ("/network/model.0/conv/Conv", "0"),
        ("/network/model.16/m.0/cv2/conv/Conv", "16"),
        ("/network/model.23/cv2.0/cv2.0.1/conv/Conv", "23.cv2.0"),
        ("/network/model.23/cv3.2/cv3.2.0/cv3.2.0.1/conv/Conv", "23.cv3.2"),
        ("stem", "stem"),
    ],
)
def test_convolutions_are_grouped_by_module_and_head_branch(node, part):
    assert part_of(node) == part


def test_with_nothing_kept_the_float_network_answers(world):
    float_manifest, qdq, _, _ = world
    model = expand(onnx.load(qdq.with_suffix(".onnx")))
    assert quantized_parts(model) == {"first": 1, "inner": 1}
    plain = keep_quantized(model, lambda _: False)
    assert quantized_parts(plain) == {}
    original = expand(onnx.load(float_manifest.with_suffix(".onnx")))
    assert np.abs(rows(plain) - rows(original)).max() > 0, "weights went through int8 storage"
    restore_weights(model, original)
    np.testing.assert_array_equal(rows(keep_quantized(model, lambda _: False)), rows(original))


def test_residual_sums_are_float_again_too(world, tmp_path):
    _, _, source, guard = world
    float_manifest = residual(tmp_path)
    frames = calibration_frames(source, "train", guard, count=4)
    model = expand(onnx.load(quantize_qdq(float_manifest, frames, tmp_path).with_suffix(".onnx")))
    original = expand(onnx.load(float_manifest.with_suffix(".onnx")))
    restore_weights(model, original)
    np.testing.assert_array_equal(rows(keep_quantized(model, lambda _: False)), rows(original))


def test_one_part_alone_stays_quantized(world):
    model = expand(onnx.load(world[1].with_suffix(".onnx")))
    assert quantized_parts(keep_quantized(model, lambda name: name == "inner")) == {"inner": 1}


def test_the_sweep_measures_each_part(world):
    _, qdq, source, guard = world
    seen = []
    _, _, parts = sweep(qdq, source, guard, every=2, progress=seen.append)
    assert [part.name for part in parts] == ["first", "inner"]
    assert seen == list(parts)


def test_another_float_network_beside_it_is_noticed(world):
    float_manifest, qdq, source, guard = world
    text = float_manifest.read_text()
    try:
        float_manifest.write_text(text.replace(read_manifest(float_manifest).file_sha256, "0" * 64))
        with pytest.raises(ManifestError, match="was not made from"):
            sweep(qdq, source, guard)
    finally:
        float_manifest.write_text(text)


def test_a_float_network_has_nothing_to_sweep(world):
    float_manifest, _, source, guard = world
    assert not read_manifest(float_manifest).qdq
    with pytest.raises(ManifestError, match="no Q/DQ ONNX"):
        sweep(float_manifest, source, guard)
