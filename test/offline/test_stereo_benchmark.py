# SPDX-License-Identifier: AGPL-3.0-only
"""The stereo benchmark sees errors, wrong pairs and a sigma that lies, and writes the figures that are kept."""

import json

import numpy as np
import pytest

from cone_detector.detections import Cones, Detections
from offline_tools.scenes.stereo import StereoCone
from offline_tools.stereo_benchmark.command import main
from offline_tools.stereo_benchmark.score import Located, compare, coverage, depth_figures


def truth_of(depths):
    cones = []
    for number, depth in enumerate(depths):
        left = np.array([100.0 + 50 * number, 300, 120 + 50 * number, 330])
        boxes = (left, left - np.array([1, 0, 1, 0]) * 84 / depth)
        position = np.array([0.0, 1.0, depth])
        cones.append(StereoCone(number, 0, position, 84 / depth, boxes, boxes, (1.0, 1.0)))
    return cones


def located_at(truth, offset, sigma=0.1, pairs=None):
    """What a locator says that is `offset` (3,) off, and its boxes. pairs: index of the right box of each left one."""
    count = len(truth)
    sides = [
        Detections(
            np.array([cone.boxes[side] for cone in truth], np.float32), np.ones(count, np.float32), np.zeros(count, int)
        )
        for side in (0, 1)
    ]
    position = np.array([cone.position for cone in truth]) + offset
    cones = Cones(
        position,
        np.tile(np.eye(3) * sigma**2, (count, 1, 1)),
        np.ones(count, np.float32),
        np.zeros(count, np.int64),
        np.ones(count),
        np.ones(count),
        np.arange(count),
        np.arange(count) if pairs is None else np.array(pairs),
    )
    return cones, *sides


def test_depth_errors_are_counted_at_their_range():
    truth = truth_of([5.0, 5.0, 10.0, 15.0])
    found = compare(*located_at(truth, [0, 0, 0.15]), truth)
    figures = depth_figures(found)
    assert [figures[name]["cones"] for name in ("5", "10", "15")] == [2, 1, 1]
    assert [figures[name]["median_error_pct"] for name in ("5", "10", "15")] == pytest.approx([3.0, 1.5, 1.0])
    assert figures["5"]["bias_m"] == pytest.approx(0.15)


def test_a_pair_of_two_cones_is_wrong_and_keeps_its_error():
    truth = truth_of([5.0, 10.0])
    found = compare(*located_at(truth, [0, 0, 1.0], pairs=[1, 0]), truth)
    assert found.wrong.tolist() == [True, True]
    assert found.error[:, 2] == pytest.approx([1.0, 1.0])


def test_what_is_no_cone_has_no_error():
    truth = truth_of([5.0, 10.0])
    found = compare(*located_at(truth, [0, 0, 0.0]), truth[:1])
    assert found.truth.tolist() == [[0.0, 1.0, 5.0]]


@pytest.mark.parametrize(("stated", "low", "high"), [(0.1, 0.9, 0.99), (0.03, 0.0, 0.3), (1.0, 1.0, 1.0)])
def test_coverage_tells_an_honest_sigma(stated, low, high):
    rng = np.random.default_rng(0)
    truth = truth_of([10.0] * 20)
    parts = [compare(*located_at(truth, rng.normal(0, 0.1, (20, 3)), stated), truth) for _ in range(20)]
    for share in coverage(Located.join(parts), 0.95):
        assert low <= share <= high


def test_no_cone_at_all_has_no_figure():
    empty = compare(Cones.empty(), Detections.empty(), Detections.empty(), truth_of([5.0]))
    assert np.isnan(depth_figures(empty)["5"]["median_error_pct"])


def test_the_command_writes_what_the_project_keeps(tmp_path):
    path = tmp_path / "deep" / "stereo.json"
    arguments = ["--boxes", "truth", "--count", "2", "--rounds", "2", "--output", str(path)]
    assert main([*arguments, "--plot", str(tmp_path / "stereo.png")]) == 0
    report = json.loads(path.read_text())
    for name in ("median_depth_error_pct", "centre_baseline_pct"):
        assert set(report[name]) == {"5", "10", "15"}
    assert {"coverage_95", "ms_30_cones", "ms_100_cones", "machine", "versions", "boxes"} <= report.keys()
    assert report["located_share"] > 0.8
    assert report["wrong_pairs"] == 0
    assert (tmp_path / "stereo.png").stat().st_size > 1000


def test_impossible_counts_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--count", "0"])
    assert "--count is 0" in capsys.readouterr().err
