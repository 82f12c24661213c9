# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks make of what was measured."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cone_detector.detector import StereoDetector
from cone_detector.frames import Frame
from cone_detector.replay import bench_cpu as cpu
from cone_detector.replay.bench_node import cpu_shares, summarize_node, write_node_figures
from cone_detector.replay.processes import ReplayError
from cone_detector.replay.stand_in import CANVAS, StandInEngine
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.locator import StereoLocator


def frame(value=60):
    return Frame(np.full((720, 1280, 3), value, np.uint8))


class TestStandIn:
    def test_its_cones_are_those_of_a_track_at_their_depths(self):
        settings = Settings()
        calibration = StereoCalibration.from_projections(
            [700, 0, 640, 0, 0, 700, 360, 0, 0, 0, 1, 0], [700, 0, 640, -84, 0, 700, 360, 0, 0, 0, 1, 0], (1280, 720)
        )
        detector = StereoDetector(StandInEngine(0.0, 1), settings, StereoLocator(calibration, settings))
        result = detector.detect(frame(), frame())
        assert [len(found) for found in result.detections] == [12, 12]
        assert not result.escalated
        assert sorted(result.cones.position[:, 2].round(1)) == [
            3.0,
            3.0,
            4.5,
            4.5,
            6.0,
            6.0,
            8.0,
            8.0,
            11.0,
            11.0,
            15.0,
            15.0,
        ]

    def test_a_pass_takes_as_long_as_asked(self):
        engine = StandInEngine(5.0, 2)
        assert engine.times.compute_ms == 5.0
        assert engine.slots[1].shape == (2, CANVAS[1], CANVAS[0], 3)


class TestNodeFigures:
    def test_shares_add_up_and_publishing_is_rclpys(self):
        first = {"process": 100, "main_thread": 50, "inference_thread": 20, "callbacks": 10, "publishing": 5}
        spent = {
            "process": 10**9,
            "main_thread": 5 * 10**8,
            "inference_thread": 3 * 10**8,
            "callbacks": 10**8,
            "publishing": 2 * 10**8,
        }
        last = {name: first[name] + value for name, value in spent.items()}
        shares = cpu_shares(first, last, seconds=2.0)
        assert shares == {
            "rclpy_share": 0.6,  # 0.5 of the main thread without 0.1 of callbacks, and 0.2 of publishing
            "own_share": 0.2,  # 0.1 of callbacks and 0.3 of inference without 0.2 of publishing
            "middleware_share": 0.2,
            "cpu_cores": 0.5,
        }

    @pytest.fixture
    def figures(self):
        """Ten minutes at 10 Hz: 5 ms old at first, 7 ms in the last minute; 3 pairs never came, 2 were dropped."""
        seconds = np.arange(6000) / 10
        snapshot = {"process": 0, "main_thread": 0, "inference_thread": 0, "callbacks": 0, "publishing": 0}
        end = {name: n * 10**9 for n, name in enumerate(snapshot, start=4)}
        measured = {
            "seconds": (1000 + seconds).tolist(),
            "age_ms": np.where(seconds >= 539, 7.0, 5.0).tolist(),
            "total_ms": [2.0] * 6000,
            "cpu_first_ns": snapshot,
            "cpu_last_ns": {**end, "process": 30 * 10**9},
            "pairing": {"received": [6002, 6003], "dropped": 2, "unpaired": [0, 1]},
            "faults": {},
        }
        told = {"sent": 6005, "late": 0, "publish_ms_p50": 1.0}
        memory = [
            (float(s), {"rss": 100.0 if s < 540 else 104.0, "rss_anon": 60.0, "rss_shmem": 30.0 + (s >= 540)})
            for s in range(600)
        ]
        return summarize_node(measured, told, memory, {"cones": 6000})

    def test_losses_are_told_apart(self, figures):
        assert figures["pairs_sent"] == 6005
        assert figures["pairs_lost"] == 5
        assert figures["lost_before_the_node"] == 3
        assert figures["lost_in_the_node"] == 2

    def test_first_and_last_minute_are_told_apart(self, figures):
        assert (figures["age_p99_ms_first_minute"], figures["age_p99_ms_last_minute"]) == (5.0, 7.0)
        assert figures["rss_mb_first_minute"] == 100.0
        assert figures["rss_mb_last_minute"] == pytest.approx(104, abs=0.1)
        assert figures["rss_anon_mb_first_minute"] == figures["rss_anon_mb_last_minute"] == 60.0
        assert (figures["rss_shmem_mb_first_minute"], figures["rss_shmem_mb_last_minute"]) == (
            30.0,
            pytest.approx(31, abs=0.1),
        )

    def test_the_table_holds_the_shares(self, figures, tmp_path):
        settings = {"rate_hz": 60.0, "engine_latency_ms": 1.0, "queue_depth": 3}
        whole = {**figures, "settings": settings, "machine": {"cpu": "CPU", "cpu_count": 2}}
        table = write_node_figures(whole, tmp_path / "node.json").read_text()
        assert json.loads((tmp_path / "node.json").read_text())["pairs_sent"] == 6005
        assert f"| {figures['own_share']:.1%} |" in table
        assert "lost 5 (before the node 3, in it 2)" in table


FIXED, ADAPTIVE = Settings({"policy.name": "fixed_640"}), Settings({"policy.name": "cascade"})


class TestTurns:
    def test_all_run_on_the_same_pairs_equally_often(self, monkeypatch):
        monkeypatch.setattr(cpu, "_REST_S", 0.0)
        asked = []

        def ask(name, number):
            asked.append((name, number))
            return float(number)

        detector = StereoDetector(StandInEngine(0.0, 1), FIXED)
        pairs = [(frame(n), frame(n)) for n in range(6)]
        times = cpu._take_turns(detector, FIXED, ADAPTIVE, pairs, ask, rounds=3)
        assert {name: len(values) for name, values in times.items()} == dict.fromkeys(times, 12)
        for name in cpu.THEIRS:
            numbers = [number for asked_name, number in asked if asked_name == name]
            # The first of each turn warms up and is not counted.
            assert Counter(numbers) == Counter([0, 0, 1, 2, 3, 4, 4, 5, 0, 1, 2, 2, 3, 4, 5])
            assert times[name] == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]

    def test_everyone_begins_in_turn(self, monkeypatch):
        monkeypatch.setattr(cpu, "_REST_S", 0.0)
        asked = []
        detector = StereoDetector(StandInEngine(0.0, 1), FIXED)
        names = {"fixed_640": cpu.PIPELINE, "cascade": cpu.ADAPTIVE}
        monkeypatch.setattr(detector, "detect", lambda *_: asked.append(names[detector.settings["policy.name"]]))
        pairs = [(frame(), frame())] * 4
        cpu._take_turns(detector, FIXED, ADAPTIVE, pairs, lambda name, _: asked.append(name) or 1.0, rounds=5)
        order = [name for n, name in enumerate(asked) if n == 0 or asked[n - 1] != name]
        firsts = {order[n] for n in range(0, len(order), 5)}
        assert firsts == {cpu.PIPELINE, cpu.ADAPTIVE, *cpu.THEIRS}

    def test_a_worker_that_fails_is_quoted(self, tmp_path):
        plan = cpu.CpuPlan(tmp_path, {}, Path(sys.executable), tmp_path / "no.pt", tmp_path, 1, 1)
        with pytest.raises(ReplayError, match=r"ended with code \d+"), cpu._worker(plan, tmp_path / "no.npy", tmp_path):
            pass
