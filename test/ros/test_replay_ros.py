# SPDX-License-Identifier: Apache-2.0
"""Bags through the real node: player, recorder, demo, monitor and the node's benchmark, each as a user starts it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from engines import paint
from harness import PATIENCE_S, NodeProcess, until

from cone_detector import demo
from cone_detector.replay import cli
from cone_detector.replay.bag_writer import write_bag
from cone_detector.replay.calibration_file import rectified_rig
from cone_detector.replay.processes import ReplayError, running

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = rectified_rig(1280, 720, 700, 700, 640, 360, 0.12)
PAIRS = 5


def painted_pair(number):
    """A yellow cone, 40 pixels of disparity: 2.1 m away; it moves from pair to pair."""
    images = [np.full((720, 1280, 3), 60, np.uint8) for _ in range(2)]
    for side, image in enumerate(images):
        x, y = 696 - 40 * side, 400 + 8 * number
        paint(image, 4, (x, y, x + 52, y + 80))
    return images


@pytest.fixture(scope="module")
def bag_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "painted"
    write_bag(path, (painted_pair(n) for n in range(PAIRS)), rate_hz=10.0, cameras=CAMERAS)
    return path


def run(module, *arguments, **named):
    """A module as a process of its own, in this test's ROS domain."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, **named)


def test_a_bag_played_through_the_node_is_answered_and_reported(bag_path, engines, tmp_path):
    done = run(
        "cone_detector.replay.cli", "run", bag_path, "--rate", 3, "--param", f"engine.directory={engines}",
        "--param", "policy.name=fixed_640", "--output", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "replay.json").read_text())
    assert report["pairs"] == {"sent": PAIRS, "processed": PAIRS, "dropped": 0}
    assert report["mode"] == "through ROS"
    assert report["settings"]["policy.name"] == "fixed_640"
    assert set(report["timeline"]["passes"]) == {"640"}
    for row in ("left", "right", "located"):
        assert {name: n for name, n in report["cones"][row].items() if n} == {"yellow_cone": PAIRS}
    assert {"age", "node_age", "total", "publish", "wait"} <= report["latency_ms"].keys()
    assert report["latency_ms"]["age"]["p50"] >= report["latency_ms"]["total"]["p50"]


def test_compressed_images_reach_the_node_as_recorded(engines, tmp_path):
    path = tmp_path / "compressed"
    write_bag(path, (painted_pair(n) for n in range(PAIRS)), rate_hz=10.0, cameras=CAMERAS, jpeg_quality=95)
    done = run(
        "cone_detector.replay.cli", "run", path, "--rate", 3, "--param", f"engine.directory={engines}",
        "--param", "policy.name=fixed_640", "--param", "input.compressed=true", "--output", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "replay.json").read_text())
    assert report["pairs"]["processed"] > 0
    assert report["latency_ms"]["decode"]["p50"] > 0.5


def test_a_running_node_is_measured_and_goes_on(bag_path, engines, tmp_path):
    with NodeProcess(**{"engine.directory": engines, "policy.name": "fixed_320"}) as node:
        node.wait_for_log("engine:")
        done = run(
            "cone_detector.replay.cli", "run", bag_path, "--attach", "--rate", 3, "--output", tmp_path,
            "--param", "policy.name=fixed_320",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + node.log
        assert node.process.poll() is None
    report = json.loads((tmp_path / "replay.json").read_text())
    assert report["pairs"]["processed"] == PAIRS
    assert set(report["timeline"]["passes"]) == {"320"}
    assert report["settings"] == {"policy.name": "fixed_320"}


@pytest.mark.parametrize("parameter", ["topics.left_image=/zed/left", "input.mode=side_by_side"])
def test_a_parameter_that_would_make_the_node_deaf_is_refused_at_once(bag_path, tmp_path, capsys, parameter):
    assert cli.main(["run", str(bag_path), "--param", parameter, "--output", str(tmp_path)]) == 1
    assert f"{parameter.split('=')[0]} is '" in capsys.readouterr().err


def test_a_node_that_cannot_start_shows_its_error(bag_path, tmp_path):
    done = run(
        "cone_detector.replay.cli", "run", bag_path, "--param", f"engine.directory={tmp_path}", "--output", tmp_path
    )
    assert done.returncode == 1
    assert "node ended with code 1" in done.stderr
    assert "no engine in" in done.stderr


def test_the_demo_leaves_figures_a_video_and_pictures(bag_path, engines, tmp_path):
    done = run(
        "cone_detector.demo", "--bag", bag_path, "--seconds", 4, "--rate", 4, "--output", tmp_path,
        "--param", f"engine.directory={engines}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for text in ("pairs in", "processed", "dropped", "yellow_cone", "escalation rate", "p99", "annotated.mp4"):
        assert text in done.stdout
    video = cv2.VideoCapture(str(tmp_path / "annotated.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == PAIRS, "one frame a pair of the bag"
    assert frames[0].shape[:2] == (540, 2 * 960 + 404)
    sheet, above = (cv2.imread(str(tmp_path / name)) for name in ("contact_sheet.png", "birds_eye.png"))
    assert sheet.shape[1] == 1800
    # One cone 2.1 m ahead, 0.2 m to the right of the left camera.
    assert above.shape == (1200, 900, 3)
    rows, columns = np.nonzero((np.abs(above.astype(int) - (0, 230, 255)) < 3).all(axis=2))
    assert rows.mean() > 1000
    assert 450 < columns.mean() < 520


def test_the_demo_of_a_missing_bag_is_one_line(tmp_path, capsys):
    assert demo.main(["--bag", str(tmp_path / "none"), "--output", str(tmp_path)]) == 1
    assert "no such bag" in capsys.readouterr().err


def test_the_player_says_when_nobody_listens(bag_path):
    done = run("cone_detector.ros.player", bag_path, "--wait", 0.5)
    assert done.returncode == 1
    assert "nobody subscribed" in done.stderr


def test_the_player_of_a_missing_bag_names_it(tmp_path, capsys):
    assert cli.main(["play", str(tmp_path / "none")]) == 1
    assert "no such bag" in capsys.readouterr().err


def test_the_monitor_shows_the_running_node(bag_path, engines, tmp_path):
    with NodeProcess(**{"engine.directory": engines, "policy.name": "fixed_320"}) as node:
        node.wait_for_log("engine:")
        arguments = [str(bag_path), "--loop", "--rate=5"]
        with running("player", "cone_detector.ros.player", arguments, tmp_path / "log", {}) as player:
            until(lambda: "ready" in player.events(), "ready player", player.last_words)
            done = run("cone_detector.monitor", "--seconds", 3, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    for text in ("inference", "p99", "320 (", "left 1, right 1, located 1", "node: active"):
        assert text in done.stdout


def test_the_benchmark_of_the_node_accounts_for_all_its_time(bag_path, tmp_path):
    output = tmp_path / "node.json"
    done = run(
        "cone_detector.replay.cli", "bench-node", "--bag", bag_path, "--seconds", 4, "--rate", 15,
        "--output", output, "--logs", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    named = {
        "seconds", "pairs_sent", "pairs_lost", "age_p99_ms_first_minute", "age_p99_ms_last_minute",
        "rss_mb_first_minute", "rss_mb_last_minute", "rclpy_share", "own_share", "machine", "versions",
    }  # fmt: skip
    assert named <= figures.keys()
    assert figures["pairs_lost"] == figures["lost_before_the_node"] + figures["lost_in_the_node"]
    assert figures["pairs_sent"] >= 55
    assert figures["pairs_lost"] < figures["pairs_sent"] / 2
    shares = [figures[f"{part}_share"] for part in ("rclpy", "own", "middleware")]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert all(0 < share < 1 for share in shares)
    assert figures["rss_mb_first_minute"] > 20
    assert not figures["faults"]
    assert "| rclpy" in output.with_suffix(".md").read_text()


def test_a_replay_that_is_ended_leaves_no_process(bag_path, engines, tmp_path):
    command = ["cone_detector.replay.cli", "run", bag_path, "--seconds", "600", "--output", tmp_path]
    command += ["--param", f"engine.directory={engines}"]
    replay = subprocess.Popen([sys.executable, "-m", *map(str, command)], cwd=ROOT)
    children = Path(f"/proc/{replay.pid}/task/{replay.pid}/children")
    pids = until(lambda: len(found := children.read_text().split()) == 2 and found, "node and player")
    replay.send_signal(signal.SIGTERM)
    assert replay.wait(PATIENCE_S) != 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "end of node and player")


def test_a_child_that_fails_is_quoted(tmp_path):
    with running("helper", "cone_detector.no_such_module", [], tmp_path / "log", {}) as child:
        until(lambda: not child.running, "end of the child")
        with pytest.raises(ReplayError, match=r"helper ended with code 1.*\n.*no_such_module"):
            child.check()
