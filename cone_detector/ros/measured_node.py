# SPDX-License-Identifier: Apache-2.0
"""The real node with a stand-in engine, and a ledger of where its CPU time goes: for the benchmark of the node.

Nothing in the node is replaced but the engine. CPU times are the kernel's own clocks of each thread (see clock_gettime,
CLOCK_THREAD_CPUTIME_ID), read where rclpy calls our code and where our code calls rclpy; nothing is sampled.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.detector import StereoResult
from cone_detector.engine.contract import Engine
from cone_detector.node import ConeDetectorNode
from cone_detector.node import main as run_node
from cone_detector.pairing import slots_needed
from cone_detector.replay.stand_in import StandInEngine
from cone_detector.ros.statistics import Statistics
from cone_detector.settings import Settings

# Frames that are kept: half an hour at 60 Hz.
_FRAMES = 108_000


class Ledger:
    """CPU nanoseconds, in all so far: our code in the main thread's callbacks, publishing in the inference thread."""

    def __init__(self) -> None:
        self.callbacks = 0
        self.publishing = 0
        self._main_publishing = 0
        self._main = threading.main_thread().ident or 0
        self._main_clock = time.pthread_getcpuclockid(self._main)

    def callback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, called by rclpy, with its time booked as ours; what it publishes is taken out again."""

        def measured(*arguments: Any) -> Any:
            begin, published = time.thread_time_ns(), self._main_publishing
            try:
                return function(*arguments)
            finally:
                self.callbacks += time.thread_time_ns() - begin - (self._main_publishing - published)

        return measured

    def publisher(self, made: Any) -> Any:
        """`made`, a publisher, whose publish books its time."""
        publish = made.publish

        def measured(message: Any) -> None:
            begin = time.thread_time_ns()
            publish(message)
            spent = time.thread_time_ns() - begin
            if threading.get_ident() == self._main:
                self._main_publishing += spent
            else:
                self.publishing += spent

        made.publish = measured
        return made

    def snapshot(self) -> dict[str, int]:
        """Totals; to be called by the inference thread. process: all threads, those of the middleware too."""
        return {
            "process": time.process_time_ns(),
            "main_thread": time.clock_gettime_ns(self._main_clock),
            "inference_thread": time.thread_time_ns(),
            "callbacks": self.callbacks,
            "publishing": self.publishing,
        }


class MeasuredStatistics(Statistics):
    """Keeps the times of every frame, and the ledger at the first and the last one."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        # All memory at once, and touched: the node's must not seem to grow by what watches it.
        self._times = np.full((_FRAMES, 3), np.nan)
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}

    def add_result(self, result: StereoResult, age_ms: float) -> None:
        super().add_result(result, age_ms)
        if self.frames <= _FRAMES:
            self._times[self.frames - 1] = time.monotonic(), age_ms, result.ms["total"]
        self.last = self._ledger.snapshot()
        self.first = self.first or self.last

    def times(self) -> dict[str, list[float]]:
        """Monotonic seconds of each result, its age and its total in milliseconds."""
        seconds, age_ms, total_ms = self._times[: self.frames].T.tolist()
        return {"seconds": seconds, "age_ms": age_ms, "total_ms": total_ms}


class MeasuredNode(ConeDetectorNode):
    """The node as it is, watched where it meets rclpy."""

    def __init__(self, latency_ms: float) -> None:
        self._ledger = Ledger()
        self.pairing: dict[str, Any] = {}

        def load(settings: Settings) -> tuple[Engine, str]:
            return StandInEngine(latency_ms, slots_needed(settings["queue.depth"])), "stand-in of the benchmark"

        super().__init__(load)
        self.measured = MeasuredStatistics(self._ledger)
        self._statistics = self.measured

    def create_subscription(self, kind: Any, topic: str, callback: Callable[..., Any], *rest: Any, **named: Any) -> Any:
        return super().create_subscription(kind, topic, self._ledger.callback(callback), *rest, **named)

    def create_timer(self, period: float, callback: Callable[..., Any], *rest: Any, **named: Any) -> Any:
        return super().create_timer(period, self._ledger.callback(callback), *rest, **named)

    def create_publisher(self, *arguments: Any, **named: Any) -> Any:
        return self._ledger.publisher(super().create_publisher(*arguments, **named))

    def create_lifecycle_publisher(self, *arguments: Any, **named: Any) -> Any:
        return self._ledger.publisher(super().create_lifecycle_publisher(*arguments, **named))

    def end(self) -> None:
        """Notes the pairing's counts before they go."""
        if self._session is not None:
            self.pairing = asdict(self._session.pipeline.counts)
        super().end()

    def figures(self) -> dict[str, Any]:
        """All that was measured."""
        measured = self.measured
        return {
            **measured.times(),
            "cpu_first_ns": measured.first,
            "cpu_last_ns": measured.last,
            "pairing": self.pairing,
            "faults": {kind: fault.last for kind, fault in measured.faults.items()},
        }


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT, then writes what was measured; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, required=True, help="JSON file to write at the end")
    parser.add_argument("--latency-ms", type=float, default=1.0, help="of one pass of the stand-in engine")
    options, ros_arguments = parser.parse_known_args(arguments)
    made: list[MeasuredNode] = []

    def make_node() -> ConeDetectorNode:
        made.append(MeasuredNode(options.latency_ms))
        return made[0]

    code = run_node(ros_arguments, make_node)
    if made:
        options.figures.write_text(json.dumps(made[0].figures()))
    return code


if __name__ == "__main__":
    sys.exit(main())
