# SPDX-License-Identifier: AGPL-3.0-only
"""The benchmark of plans, on a fake GPU: that each figure is taken where it says, not what it is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from doubles import MANIFEST_320, MANIFEST_640
from fake_gpu import NAME, Code, FakeGpu, install, plan

from cone_detector.replay.bag_writer import write_bag
from cone_detector.replay.calibration_file import rectified_rig
from offline_tools import benchmark


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return install(monkeypatch)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.integers(0, 256, (72, 128, 3), dtype=np.uint8) for _ in range(2)) for _ in range(3)]
    cameras = rectified_rig(128, 72, 70.0, 70.0, 64.0, 36.0, 0.12)
    write_bag(tmp_path / "bag", iter(pairs), rate_hz=30.0, cameras=cameras)  # type: ignore[arg-type]
    return tmp_path / "bag"


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
    assert all(first[name] > 0 for name in first if name.endswith(("_p50", "_p99")) and not name.startswith("naive"))
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
