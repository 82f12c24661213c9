# SPDX-License-Identifier: Apache-2.0
"""What the node counts: frames, escalations, faults, and whether images arrive as they were sent."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from cone_detector.detector import StereoResult
from cone_detector.latency import Window

# A camera that sends nothing for so many periods has paused.
_PAUSE_PERIODS = 20
# A fault that comes with every frame is logged as often as somebody can read it.
_LOG_PERIOD_S = 5.0


@dataclass
class Fault:
    """Faults of one kind: how many so far, the last one in words, and when one was last due for the log, in seconds."""

    count: int
    last: str
    logged_s: float


class Statistics:
    """Totals since the node was created. Written by callbacks and by the inference thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """clock: seconds, steady: a simulated clock that stands still must not silence the log."""
        self._clock = clock
        self.frames = 0
        self.escalated = 0
        self.passes: Counter[str] = Counter()
        self.latency = Window(300)
        self.faults: dict[str, Fault] = {}
        self._lock = threading.Lock()

    def add_result(self, result: StereoResult, age_ms: float) -> None:
        """Counts a published frame. age_ms: from its stamp to its publication."""
        with self._lock:
            self.frames += 1
            self.escalated += result.escalated
            self.passes.update(step.name for step in result.steps)
            self.latency.add({**result.ms, "age": age_ms})

    def add_fault(self, kind: str, message: str) -> bool:
        """Counts a fault. True where it is due for the log: no other of its kind was for a few seconds."""
        now = self._clock()
        with self._lock:
            fault = self.faults.setdefault(kind, Fault(0, "", float("-inf")))
            fault.count += 1
            fault.last = message
            due = now - fault.logged_s >= _LOG_PERIOD_S
            if due:
                fault.logged_s = now
            return due

    def percentiles(self, *which: float) -> dict[str, tuple[float, ...]]:
        """Of stage times and age over the last frames, in milliseconds."""
        with self._lock:
            return self.latency.percentiles(*which)


class StreamWatch:
    """The stamps of one camera's last images: whether all that were sent have arrived."""

    def __init__(self, images: int = 120) -> None:
        self._stamps: deque[int] = deque(maxlen=images)
        self.total = 0
        self.bytes = 0

    def note(self, stamp_ns: int, size: int) -> None:
        """Notes an arrived image of `size` bytes. A stamp that jumps back begins anew."""
        if self._stamps and stamp_ns <= self._stamps[-1]:
            self._stamps.clear()
        self._stamps.append(stamp_ns)
        self.total += 1
        self.bytes = size

    def lost_share(self) -> float:
        """Share of images that are missing between those that arrived, 0..1; 0 before there are thirty."""
        return lost_share(self._stamps)


def lost_share(stamps_ns: Iterable[int]) -> float:
    """Share of images missing in a sequence of camera stamps, 0..1; 0 where it cannot be told.

    The camera's period is taken from the shortest gaps; each gap then holds a whole number of periods. It cannot be
    told from fewer than thirty stamps, or where gaps are no multiples of one period: then the sender keeps no rate.
    """
    gaps = np.diff(np.fromiter(stamps_ns, np.int64))
    if len(gaps) < 29:
        return 0.0
    periods = gaps / max(float(np.percentile(gaps, 10)), 1.0)
    periods = periods[periods < _PAUSE_PERIODS]
    whole = np.maximum(np.rint(periods), 1)
    if np.mean(np.abs(periods - whole) < 0.25) < 0.9:
        return 0.0
    return float(1 - len(whole) / whole.sum())
