# SPDX-License-Identifier: Apache-2.0
"""Replays without ROS: the core on a bag, and what is reported of it."""

import io
import json
import math

import numpy as np
import pytest
from doubles import TableEngine
from engines import paint, write_engines
from rich.console import Console

from cone_detector.detector import StereoDetector
from cone_detector.engine.contract import EngineError
from cone_detector.replay import cli
from cone_detector.replay.bag_writer import write_bag
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.calibration_file import rectified_rig
from cone_detector.replay.compare import ReportError, differences, print_comparison, read_report
from cone_detector.replay.direct import back_to_back, paced
from cone_detector.replay.plots import plot_latency
from cone_detector.replay.records import FrameRecord, Recording
from cone_detector.replay.report import Spread, print_summary, summarize, write_json
from cone_detector.replay.stand_in import StandInEngine
from cone_detector.settings import Settings

CAMERAS = rectified_rig(1280, 720, 700, 700, 640, 360, 0.12)


def painted_pair():
    """A blue and a yellow cone, 28 and 40 pixels of disparity: 3 m and 2.1 m away."""
    images = [np.full((720, 1280, 3), 60, np.uint8) for _ in range(2)]
    for label, (x1, y1, x2, y2), disparity in ((0, (420, 400, 460, 460), 28), (4, (700, 420, 752, 500), 40)):
        for side, image in enumerate(images):
            paint(image, label, (x1 - side * disparity, y1, x2 - side * disparity, y2))
    return images


@pytest.fixture(scope="module")
def bag_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "painted"
    write_bag(path, [painted_pair()] * 4, rate_hz=20.0, cameras=CAMERAS)
    return path


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    return write_engines(tmp_path_factory.mktemp("engines"))


def recording(frames=(), **changes):
    values = {"mode": "test", "bag": "/bags/x", "rate_hz": 10.0, "engine": "engine", "settings": {}, "seconds": 2.0}
    made = Recording(**{**values, **changes}, frames=list(frames))
    made.sent = made.sent or len(made.frames)
    return made


def frame(time_s=0.0, age=5.0, total=4.0, passes=("320",), reason="cascade", cones=((1, 0, 0, 0, 2),) * 3):
    stages = {"inference": total - 1, "total": total, "upload": 0.1}
    return FrameRecord(time_s, age, stages, passes, reason, np.array(cones))


class TestDirect:
    @pytest.mark.parametrize("mode", ["direct", "paced"])
    def test_a_bag_gives_its_cones_whatever_the_mode(self, bag_path, engines, tmp_path, mode, capsys):
        arguments = ["run", str(bag_path), "--mode", mode, "--rate", "4", "--output", str(tmp_path)]
        assert cli.main([*arguments, "--param", f"engine.directory={engines}"]) == 0
        report = json.loads((tmp_path / "replay.json").read_text())
        assert report["pairs"] == {"sent": 4, "processed": 4, "dropped": 0}
        for row in ("left", "right", "located"):
            assert report["cones"][row] == {
                "blue_cone": 4, "large_orange_cone": 0, "orange_cone": 0, "unknown_cone": 0, "yellow_cone": 4,
            }  # fmt: skip
        stages = {"letterbox", "inference", "nms", "stereo", "total"}
        assert stages <= report["latency_ms"].keys()
        assert ("age" in report["latency_ms"]) == (mode == "paced")
        assert all((tmp_path / name).is_file() for name in ("latency_histogram.png", "latency_timeline.png"))
        assert "yellow_cone" in capsys.readouterr().out

    def test_seconds_loop_over_the_bag(self, bag_path):
        detector = StereoDetector(StandInEngine(0.0, 8), Settings())
        made = recording()
        with StereoBag(bag_path) as bag:
            back_to_back(bag, detector, made, seconds=0.5)
        assert made.sent == len(made.frames) > 4

    def test_an_engine_that_is_too_slow_drops_pairs_and_loses_count_of_none(self, bag_path):
        detector = StereoDetector(StandInEngine(60.0, 8), Settings({"policy.name": "fixed_320"}))
        made = recording(rate_hz=100.0)
        with StereoBag(bag_path) as bag:
            paced(bag, detector, made, seconds=0.5)
        assert made.dropped > 0
        assert made.sent == len(made.frames) + made.dropped
        assert all(record.age_ms >= 60 for record in made.frames)

    def test_a_failing_engine_ends_the_replay_with_its_message(self, bag_path):
        healthy = StandInEngine(0.0, 1)._rows
        calls = []

        def answer(name, canvas):
            calls.append(name)
            return healthy if len(calls) < 8 else None

        detector = StereoDetector(TableEngine(answer), Settings({"policy.name": "fixed_320"}))
        with StereoBag(bag_path) as bag, pytest.raises(EngineError):
            paced(bag, detector, recording(rate_hz=50.0), seconds=0.3)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["{bag}", "--mode", "direct", "--param", "engine.directory={empty}"], "no engine in"),
            (["{bag}", "--mode", "direct", "--param", "confidence=7"], "confidence is 7"),
            (["{bag}", "--mode", "direct", "--param", "confidense=0.5"], "confidense"),
            (["{bag}", "--mode", "direct", "--left", "/no", "--right", "/no"], "no image topic /no"),
            (["{empty}/bag", "--mode", "direct"], "no such bag"),
        ],
        ids=["no engine", "out of range", "misspelt", "topic", "bag"],
    )
    def test_a_fault_is_one_clear_message_and_exit_code_1(self, bag_path, tmp_path, capsys, arguments, message):
        filled = [argument.format(bag=bag_path, empty=tmp_path) for argument in arguments]
        assert cli.main(["run", *filled, "--output", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("cone-replay: ")
        assert message in error


class TestReport:
    def test_counts_and_percentiles(self):
        frames = [
            frame(n * 0.1, age=n, passes=("320", "640") if n % 4 == 0 else ("320",), reason="low" if n % 4 == 0 else "")
            for n in range(100)
        ]
        summary = summarize(recording(frames, sent=110, seconds=10.0))
        assert summary["pairs"] == {"sent": 110, "processed": 100, "dropped": 10}
        assert summary["escalation_rate"] == 0.25
        assert summary["escalation_reasons"] == {"low": 25}
        assert summary["throughput_hz"] == 10
        assert summary["latency_ms"]["age"]["p50"] == 49.5
        assert summary["latency_ms"]["age"]["max"] == 99
        assert summary["latency_ms"]["jitter"]["max"] < 1e-6
        assert list(summary["latency_ms"]) == ["inference", "total", "upload", "age", "jitter"]
        assert summary["cones"]["left"]["yellow_cone"] == 200
        assert {"cpu", "cpu_count"} <= summary["machine"].keys()
        assert "numpy" in summary["versions"]

    def test_a_replay_without_answers_is_reported_too(self):
        summary = summarize(recording(sent=5, seconds=0.0))
        assert summary["pairs"]["dropped"] == 5
        assert summary["latency_ms"] == {}
        print_summary(summary, Console(quiet=True))

    def test_a_spread_of_unknown_values_is_none(self):
        assert Spread.of([math.nan, math.inf]) is None

    def test_json_is_read_back_as_it_was(self, tmp_path):
        summary = summarize(recording([frame(0.1), frame(0.2, age=math.nan)]))
        write_json(tmp_path / "a" / "r.json", summary)
        assert read_report(tmp_path / "a" / "r.json") == summary
        assert summary["timeline"]["age_ms"] == [5.0, None]

    def test_plots_of_a_replay_without_ages(self, tmp_path):
        summary = summarize(recording([frame(n / 10, age=math.nan, total=n) for n in range(20)]))
        assert [path.stat().st_size > 1000 for path in plot_latency(summary, tmp_path)] == [True, True]


class TestCompare:
    def test_what_differs_is_said_before_the_figures(self):
        before = summarize(recording([frame()], settings={"confidence": 0.35}))
        after = summarize(recording([frame()], engine="other", settings={"confidence": 0.5}))
        assert differences(before, before) == []
        assert differences(before, after) == ["engine: engine -> other", "settings confidence: 0.35 -> 0.5"]

    def test_the_command_shows_the_change(self, tmp_path, capsys):
        for name, total in (("a", 4.0), ("b", 6.0)):
            write_json(tmp_path / f"{name}.json", summarize(recording([frame(total=total)] * 3)))
        assert cli.main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
        assert "4.00 → 6.00 +50%" in capsys.readouterr().out

    def test_a_stage_that_only_one_has_is_shown(self):
        before, after = summarize(recording([frame()])), summarize(recording([frame()]))
        del after["latency_ms"]["upload"]
        console = Console(record=True, width=100, file=io.StringIO())
        print_comparison(before, after, console)
        assert "0.10 → -" in console.export_text()

    @pytest.mark.parametrize(
        ("text", "message"),
        [("no json", "cannot be read"), ("[1]", "no report"), ('{"latency_ms": {}, "schema": 0}', "schema 0")],
    )
    def test_another_file_is_an_error_that_names_it(self, tmp_path, text, message):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ReportError, match=rf"x\.json.*{message}"):
            read_report(tmp_path / "x.json")
