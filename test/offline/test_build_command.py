# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools build`, with TensorRT-RTX and with a fake GPU. test/gpu builds and runs plans on a real one."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fake_gpu import NAME, FakeGpu, install
from small_network import save, unusable_network

from cone_detector.engine.manifest import Gpu, file_sha256, read_manifest, write_manifest
from cone_detector.engine.openvino import OpenVinoEngine
from cone_detector.engine.tensorrt import obstacle as engine_obstacle
from offline_tools.build import add_arguments, run
from offline_tools.build import command as command_module
from offline_tools.build.plan import Plan


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(map(str, arguments))))


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_the_command_builds_once_and_keeps_what_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path)
    save(tmp_path, quantized=True)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options) == 0
    assert "build small 640 fp16: there is none yet" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "small-640-fp16-tensorrt-rtx.json")
    assert (manifest.precision, manifest.qdq, manifest.gpu and manifest.gpu.compute_capability) == (
        "fp16",
        False,
        "8.9",
    )
    plans = sorted(tmp_path.glob("*.plan"))
    assert len(plans) == 2
    assert command(*options) == 0
    assert "keep  small 640 int8: fits" in capsys.readouterr().out
    assert sorted(tmp_path.glob("*.plan")) == plans
    assert not list(tmp_path.glob(".build-*"))


def test_a_dry_run_builds_nothing(tmp_path: Path) -> None:
    save(tmp_path)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options, "--dry-run") == 0
    assert not list(tmp_path.glob("*.plan"))


def test_a_failed_build_leaves_what_was_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*tensorrt*")}
    file = source.with_suffix(".onnx")
    onnx.save(unusable_network(), file)
    changed = read_manifest(source)
    write_manifest(source, replace(changed, file_sha256=file_sha256(file), onnx_sha256=file_sha256(file)))
    capsys.readouterr()
    assert command(*options) == 1
    out = capsys.readouterr().out
    assert "the ONNX is" in out
    assert "what was installed stays" in out.replace("\n", " ")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*tensorrt*")} == before


def test_nothing_to_build_from_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9") == 1
    assert "nothing to build" in capsys.readouterr().out


@pytest.fixture
def on_the_car(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    """A folder with an ONNX and frames, and a GPU for which building is instant."""
    gpu = install(monkeypatch)
    content = iter(range(100))

    def instant(*_: object, **__: object) -> Plan:
        return Plan(b"plan 384 640 %d" % next(content), [])

    monkeypatch.setattr(command_module, "build_plan", instant)
    save(tmp_path)
    (tmp_path / "frames").mkdir()
    noise = np.random.default_rng(4).integers(0, 256, (4, 24, 40, 3), dtype=np.uint8)
    for index, one in enumerate(noise):
        cv2.imwrite(str(tmp_path / "frames" / f"{index}.png"), cv2.resize(one, (640, 384)))
    return gpu


def build_on_the_car(folder: Path, *options: str) -> int:
    return command("--engines", folder, "--runtime", "tensorrt", "--frames", folder / "frames", *options)


def test_a_plan_that_returns_the_rows_of_its_onnx_replaces_the_old_one(
    on_the_car: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = OpenVinoEngine([tmp_path / "small-640.json"], slots=1)

    def right(canvas: np.ndarray) -> np.ndarray:
        reference.slots[0][...] = canvas
        return reference.infer("640", 0)

    on_the_car.network = right
    assert build_on_the_car(tmp_path) == 0
    (first,) = tmp_path.glob("*.plan")
    of_rtx = tmp_path / "small-640-fp16-tensorrt-rtx-0123abcd.plan"
    of_rtx.write_bytes(b"plan of TensorRT-RTX, which another manifest names")
    assert build_on_the_car(tmp_path, "--force") == 0
    (second,) = set(tmp_path.glob("*.plan")) - {of_rtx}
    assert first != second
    assert of_rtx.exists()
    manifest = read_manifest(tmp_path / "small-640-fp16-tensorrt.json")
    assert manifest.file == second.name
    assert manifest.gpu == Gpu(NAME, "8.9")
    assert manifest.ms > 0
    assert f"small 640 fp16: {manifest.ms:.3f} ms a pair" in capsys.readouterr().out
    assert engine_obstacle(manifest) is None


def test_a_plan_with_other_rows_is_not_installed(
    on_the_car: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_on_the_car(tmp_path) == 1
    out = capsys.readouterr().out
    assert "0.0% of the reference's rows are found, must be 99.5%; what was installed stays" in out
    assert not list(tmp_path.glob("*.plan"))
    assert not (tmp_path / "small-640-fp16-tensorrt.json").exists()
    assert not list(tmp_path.glob(".build-*"))


def test_frames_are_needed_on_the_car(on_the_car: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--engines", tmp_path, "--runtime", "tensorrt", "--frames", tmp_path / "none") == 1
    assert "no frames at" in capsys.readouterr().out
