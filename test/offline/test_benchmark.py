# SPDX-License-Identifier: AGPL-3.0-only
"""The benchmark of plans, on a fake GPU: that each figure is taken where it says, not what it is."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import fake_gpu
import numpy as np
import pytest
from doubles import MANIFEST_320, MANIFEST_640, rows_of
from fake_gpu import NAME, Code, FakeGpu, install, plan
from small_network import save

from cone_detector.engine.manifest import Evaluation, read_manifest, write_manifest
from cone_detector.frames import Frame
from cone_detector.replay.bag_topics import BagError
from cone_detector.replay.bag_writer import write_bag
from cone_detector.replay.calibration_file import rectified_rig
from offline_tools import benchmark
from offline_tools.benchmark.arrivals import Arrivals
from offline_tools.benchmark.figures import measure, read_pairs


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return install(monkeypatch)


def write(folder: Path, width: int = 128, height: int = 72) -> Path:
    """A recording of three pairs of noise with calibration."""
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(2)) for _ in range(3)]
    cameras = rectified_rig(width, height, 70.0, 70.0, width / 2, height / 2, 0.12)
    write_bag(folder, iter(pairs), rate_hz=30.0, cameras=cameras)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write(tmp_path / "bag")


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return benchmark.run(parser.parse_args([*map(str, arguments), "--frames", "5", "--paced", "3"]))


def test_each_plan_gets_its_figures_and_others_stay(gpu: FakeGpu, tmp_path: Path, bag: Path) -> None:
    low, high = plan(tmp_path, MANIFEST_320), plan(tmp_path, MANIFEST_640)
    report = tmp_path / "docs" / "gpu.json"
    assert run(low, "--bag", bag, "--output", report) == 0
    assert run(high, "--bag", bag, "--output", report, "--plot", tmp_path / "gpu.png") == 0
    found = json.loads(report.read_text())
    assert found["machine"]["gpu"] == NAME
    assert [one["canvas"] for one in found["engines"]] == ["320", "640"]
    first = found["engines"][0]
    # The fake's clock counts steps: two from mark to mark, in each of the three stages.
    assert (first["gpu_graph_ms_p50"], first["gpu_compute_ms_p50"], first["gpu_upload_ms_p50"]) == (6, 2, 2)
    assert first["allocations_per_frame"] == 0
    assert first["gpu_growth_kb"] == 0
    assert first["naive_ms_p50"] is None
    assert first["plan"]["layers"] == {"FP16": 1, "reformats": 1}
    assert first["plan"]["sha256"] == read_manifest(low).file_sha256
    assert all(first[name] > 0 for name in first if name.endswith(("_p50", "_p99")) and not name.startswith("naive"))
    # The fake's clock counts what happens on the stream: between begin and end of a run, one step an enqueue.
    assert first["limit_enqueue_ms"] == pytest.approx(1, abs=0.1)
    assert first["graph_gain"] == pytest.approx(first["enqueue_ms_p50"] / first["host_rows_ms_p50"], abs=1e-2)
    assert found["machine"]["uploads"]["page_locked_gb_s"] > 0
    assert (tmp_path / "gpu.png").stat().st_size > 10_000


def test_an_engine_that_is_not_as_it_should_be_is_not_measured(
    gpu: FakeGpu, tmp_path: Path, bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.fail["cudaGraphInstantiate"] = Code.cudaErrorStreamCaptureUnsupported
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag) == 1
    assert "another state" in capsys.readouterr().out


def test_a_recording_without_calibration_is_refused(
    gpu: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [(np.zeros((72, 128, 3), np.uint8),) * 2]
    write_bag(tmp_path / "bag", iter(pairs), rate_hz=30.0)  # type: ignore[arg-type]
    assert run(plan(tmp_path, MANIFEST_640), "--bag", tmp_path / "bag") == 1
    assert "no CameraInfo" in capsys.readouterr().out


def test_pairs_that_stay_in_2d_give_no_figure_of_3d(gpu: FakeGpu, tmp_path: Path, bag: Path) -> None:
    pairs, _ = read_pairs(bag)
    _, of_others = read_pairs(write(tmp_path / "other", 160, 90))
    with pytest.raises(BagError, match=r"cones in space cannot be measured on this recording: .*160"):
        measure(plan(tmp_path, MANIFEST_640), pairs, of_others, 5, 3)


def test_the_cones_that_the_time_was_taken_over_are_counted(gpu: FakeGpu, tmp_path: Path, bag: Path) -> None:
    # On the canvas a camera pixel is 5 pixels: a cone of 20 pixels' height, 6 pixels further left in the right image.
    left, right = rows_of((300, 170, 360, 270, 0.9, 0)), rows_of((270, 170, 330, 270, 0.9, 0))
    gpu.network = lambda canvas: np.stack((left, right))
    report = tmp_path / "gpu.json"
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag, "--output", report) == 0
    assert json.loads(report.read_text())["engines"][0]["cones_found"] == 1


def test_what_was_measured_becomes_a_table_without_a_gpu(
    gpu: FakeGpu, tmp_path: Path, bag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, table = tmp_path / "gpu.json", tmp_path / "gpu.md"
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag, "--output", report) == 0
    gpu.fail["cudaGetDeviceCount"] = Code.cudaErrorNoDevice
    assert run("--output", report, "--table", table) == 0
    lines = table.read_text().splitlines()
    assert lines[0] == f"# TensorRT on {NAME}"
    assert lines[-1].startswith("| table 640 fp16 |")
    assert "| 1 of 1 in FP16; 1 reformats |" in lines[-1]
    assert lines[-1].count("|") == lines[-3].count("|")
    assert run("--table", table) == 1


def test_rows_are_compared_with_the_float_onnx(gpu: FakeGpu, tmp_path: Path, bag: Path) -> None:
    save(tmp_path)
    report = tmp_path / "gpu.json"
    plans = tmp_path / "plans"
    plans.mkdir()
    of_small = replace(MANIFEST_640, model="small")
    assert run(plan(plans, of_small), "--bag", bag, "--output", report, "--engines", tmp_path) == 0
    (first,) = json.loads(report.read_text())["engines"]
    assert first["rows"]["images"] == 6
    assert 0 <= first["rows"]["within_limits"] <= first["rows"]["found"] <= 1


@pytest.mark.parametrize(
    ("map50", "images", "loss_pt", "cell"),
    [
        pytest.param(0.735, "a" * 64, 1.5, "val 0.735 (0.750)", id="the same images"),
        pytest.param(0.735, "b" * 64, None, "", id="other images, whose mAP says nothing of this one"),
        pytest.param(0.75, "a" * 64, None, "", id="its ONNX's own, which a build in FP16 notes"),
    ],
)
def test_a_plan_s_map_stands_beside_that_of_its_float_onnx(
    gpu: FakeGpu, tmp_path: Path, bag: Path, map50: float, images: str, loss_pt: float | None, cell: str
) -> None:
    reference = save(tmp_path)
    write_manifest(reference, replace(read_manifest(reference), evaluation=Evaluation("val", 0.75, 0.4, "a" * 64)))
    plans = tmp_path / "plans"
    plans.mkdir()
    of_small = plan(plans, replace(MANIFEST_640, model="small", evaluation=Evaluation("val", map50, 0.4, images)))
    report, table = tmp_path / "gpu.json", tmp_path / "gpu.md"
    assert run(of_small, "--bag", bag, "--output", report, "--table", table, "--engines", tmp_path) == 0
    (first,) = json.loads(report.read_text())["engines"]
    assert (first["accuracy"] and first["accuracy"]["loss_pt"]) == loss_pt
    assert table.read_text().splitlines()[-1].split("|")[-2].strip() == cell


def test_layers_that_cannot_be_read_cost_no_figures(
    gpu: FakeGpu, tmp_path: Path, bag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_gpu, "LAYERS", ["conv"])
    report, table = tmp_path / "gpu.json", tmp_path / "gpu.md"
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag, "--output", report, "--table", table) == 0
    (first,) = json.loads(report.read_text())["engines"]
    assert first["plan"]["layers"] is first["plan"]["convolutions"] is None
    assert first["gpu_graph_ms_p50"] == 6
    assert "reformats |" not in table.read_text()


def test_without_the_float_onnx_rows_cannot_be_compared(
    gpu: FakeGpu, tmp_path: Path, bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag, "--engines", tmp_path) == 1
    assert "no float ONNX of table 640" in capsys.readouterr().out


def plan_of_ultralytics(folder: Path, channels: int = 9) -> Path:
    """A plan as ultralytics' export becomes one, for the fake."""
    file = folder / "ultralytics.plan"
    file.write_bytes(b"ultralytics %d" % channels)
    return file


def test_a_baseline_stands_beside_the_640_plans_of_its_model_only(gpu: FakeGpu, tmp_path: Path, bag: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    plans = [plan(tmp_path, MANIFEST_320), plan(tmp_path, MANIFEST_640), plan(others, replace(MANIFEST_640, model="b"))]
    report = tmp_path / "gpu.json"
    naive = f"table={plan_of_ultralytics(tmp_path)}"
    assert run(*plans, "--bag", bag, "--output", report, "--naive", naive) == 0
    found = {(one["model"], one["canvas"]): one["naive_ms_p50"] for one in json.loads(report.read_text())["engines"]}
    assert found.pop(("table", "640")) > 0
    assert found == {("table", "320"): None, ("b", "640"): None}


@pytest.mark.parametrize(
    ("model", "channels", "reason"),
    [
        ("table", 6, "the baseline's output is (2, 6, 8400), must be (2, 9, boxes)"),
        ("other", 9, "--naive is for other: name a manifest"),
    ],
)
def test_a_baseline_of_another_network_is_refused(
    gpu: FakeGpu, tmp_path: Path, bag: Path, capsys: pytest.CaptureFixture[str], model: str, channels: int, reason: str
) -> None:
    naive = f"{model}={plan_of_ultralytics(tmp_path, channels)}"
    assert run(plan(tmp_path, MANIFEST_640), "--bag", bag, "--naive", naive) == 1
    assert reason in capsys.readouterr().out


def test_a_baseline_without_its_model_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--naive", "yolo11n.onnx")
    assert "'yolo11n.onnx' is not MODEL=FILE" in capsys.readouterr().err


def test_images_arrive_written_anew_and_the_pair_before_stays_whole():
    pairs = [tuple(Frame(np.full((4, 6, 3), 10 * n + side, np.uint8)) for side in (0, 1)) for n in range(3)]
    arrivals = Arrivals(pairs)
    first, second = arrivals.bring(0), arrivals.bring(1)
    assert [frame.pixels[0, 0, 0] for frame in (*first, *second)] == [0, 1, 10, 11]
    assert not any(np.shares_memory(new.pixels, old.pixels) for new, old in zip(second, pairs[1], strict=True))
    assert arrivals.bring(5)[1].pixels.tolist() == pairs[2][1].pixels.tolist()
