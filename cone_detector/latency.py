# SPDX-License-Identifier: Apache-2.0
"""Where the time of a stereo frame goes: stage times of one frame, and percentiles of the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns

import numpy as np

# In the order of the work. `wait` is from a complete pair to the start of its inference; `total` from the second
# image's arrival, before it is decoded, to the result, in the node to its publication; the engine's own upload, compute
# and download lie inside `inference`.
STAGES = ("decode", "letterbox", "wait", "inference", "nms", "stereo", "publish", "total")


class StageClock:
    """Stage times of one frame in milliseconds; a stage may be entered several times."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._last = perf_counter_ns()

    def restart(self) -> None:
        """Lets the next `lap` count from now."""
        self._last = perf_counter_ns()

    def lap(self, stage: str) -> float:
        """Books the time since the last lap to `stage`; returns it in milliseconds."""
        now = perf_counter_ns()
        spent = (now - self._last) / 1e6
        self._last = now
        self.ms[stage] = self.ms.get(stage, 0.0) + spent
        return spent


class Window:
    """The last `size` values of each named quantity, and their percentiles."""

    def __init__(self, size: int = 600) -> None:
        self._size = size
        self._values: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name not in self._values:
                self._values[name] = np.zeros(self._size)
                self._counts[name] = 0
            self._values[name][self._counts[name] % self._size] = value
            self._counts[name] += 1

    def percentiles(self, *which: float) -> dict[str, tuple[float, ...]]:
        """For each name, the percentiles (0..100) of its last values."""
        return {
            name: tuple(float(p) for p in np.percentile(ring[: min(self._counts[name], self._size)], which))
            for name, ring in self._values.items()
        }
