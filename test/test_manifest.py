# SPDX-License-Identifier: Apache-2.0
"""A manifest that is malformed, or whose file is another one, is refused with the field, the value and the fix."""

import json
from dataclasses import replace

import pytest
from doubles import MANIFEST_640

from cone_detector.engine.manifest import (
    Calibration,
    Evaluation,
    Gpu,
    Manifest,
    ManifestError,
    Runtime,
    check_file,
    file_sha256,
    read_manifest,
    write_manifest,
)

FULL = replace(
    MANIFEST_640,
    gpu=Gpu("NVIDIA GeForce RTX 4060", "8.9", "570.1"),
    calibration=Calibration("1" * 64, "train", 400),
    evaluation=Evaluation("val", 0.81, 0.5, "2" * 64),
)


@pytest.mark.parametrize("manifest", [MANIFEST_640, FULL])
def test_a_manifest_reads_as_it_was_written(tmp_path, manifest):
    write_manifest(tmp_path / "a.json", manifest)
    assert read_manifest(tmp_path / "a.json") == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"classes": ["yellow_cone", "blue_cone"]}, r"classes are \['yellow_cone', 'blue_cone'\]"),
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"runtime": {"name": "tflite"}}, "runtime is 'tflite'"),
        ({"network": [640, 360]}, "multiples of 32"),
        ({"canvas": [640]}, "canvas is"),
        ({"canvas": [640, -384]}, "canvas is"),
        ({"canvas": "640x384"}, "manifest.canvas is '640x384'"),
        ({"nms": 1}, "manifest.nms is 1, must be bool"),
        ({"file": "../elsewhere.onnx"}, "bare file name"),
        ({"colour": "red"}, "unknown fields: colour"),
        ({"runtime": {"name": "onnx", "build": 1}}, "runtime has unknown fields: build"),
        ({"evaluation": {"split": "val"}}, "evaluation"),
        ({"gpu": "RTX"}, "gpu is str"),
        ({"model": None}, "manifest.model is None"),
    ],
)
def test_a_wrong_field_is_named(change, named):
    values = json.loads(FULL.to_json()) | change
    with pytest.raises(ManifestError, match=named):
        Manifest.from_json(json.dumps(values))


def test_a_missing_field_is_named():
    values = json.loads(FULL.to_json())
    del values["nms"]
    with pytest.raises(ManifestError, match="nms"):
        Manifest.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_what_is_no_manifest_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ManifestError, match=r"broken\.json"):
        read_manifest(path)


def test_a_missing_manifest_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(ManifestError, match="make engines"):
        read_manifest(tmp_path / "none.json")


@pytest.mark.parametrize("damage", ["missing", "truncated", "another"])
def test_a_file_that_is_not_what_was_built_is_refused(tmp_path, damage):
    file = tmp_path / MANIFEST_640.file
    file.write_bytes(b"network")
    manifest = replace(MANIFEST_640, file_sha256=file_sha256(file))
    path = tmp_path / "a.json"
    assert check_file(path, manifest) == file
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"net" if damage == "truncated" else b"another")
    for runtime, precision, fix in (
        ("tensorrt", "int8", "make engines"),
        ("openvino", "int8", "cone-tools quantize"),
        ("onnx", "fp32", "cone-tools export"),
    ):
        with pytest.raises(ManifestError, match=fix):
            check_file(path, replace(manifest, runtime=Runtime(runtime), precision=precision))


def test_an_openvino_network_is_hashed_with_its_weights(tmp_path):
    xml = tmp_path / "net.xml"
    xml.write_text("<net/>")
    xml.with_suffix(".bin").write_bytes(b"weights")
    before = file_sha256(xml)
    xml.with_suffix(".bin").write_bytes(b"weightz")
    assert file_sha256(xml) != before
