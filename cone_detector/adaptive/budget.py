# SPDX-License-Identifier: Apache-2.0
"""Whether a pass still fits into a frame's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns

# Mean and mean deviation follow RFC 6298, which has the same question: how long must one wait to be nearly sure?
_MEAN_GAIN, _DEVIATION_GAIN, _DEVIATIONS = 1 / 8, 1 / 4, 4.0
# A pass that is never run is never measured: each refusal forgets a little, or one stall would forbid it for good.
_FORGET = 0.99
# A coarse clock may not have moved.
_TICK_MS = 1e-3


class Budget:
    """Expected times of the passes, and the deadline of the frame in work.

    pixels: by pass, how many its network looks at. A pass that never ran is taken to cost as much a pixel as one that
    did. What slows a frame's first pass down, a core that is shared or clocked low, slows down its second one by as
    much (on two CPU cores their times over their means correlate by 0.74): so a pass is expected to take what it
    usually does, times the pace of the pass before it in this frame.
    """

    def __init__(self, pixels: Mapping[str, int], clock: Callable[[], int] = perf_counter_ns) -> None:
        self._pixels = dict(pixels)
        self._clock = clock
        self._mean: dict[str, float] = {}
        self._deviation: dict[str, float] = {}
        self._end_ns = 0
        self._pace = 1.0

    def begin(self, arrival_ns: int, deadline_ms: float) -> None:
        """Starts a frame that was complete at `arrival_ns` of the clock. deadline_ms: after that; 0 for none."""
        self._end_ns = arrival_ns + int(deadline_ms * 1e6) if deadline_ms else 0
        self._pace = 1.0

    def note(self, name: str, ms: float) -> None:
        """Books what pass `name` took, from the decision for it to its merged rows."""
        ms = max(ms, _TICK_MS)
        usual = ms / self._pace
        mean = self._mean.setdefault(name, usual)
        deviation = self._deviation.setdefault(name, usual / 2)
        self._deviation[name] = deviation + (abs(usual - mean) - deviation) * _DEVIATION_GAIN
        self._mean[name] = mean + (usual - mean) * _MEAN_GAIN
        self._pace = ms / mean

    def expected_ms(self, name: str) -> float:
        """What pass `name` would take now at most, nearly always; 0 while no pass was measured at all."""
        if name in self._mean:
            return (self._mean[name] + _DEVIATIONS * self._deviation[name]) * self._pace
        known = [self.expected_ms(other) / self._pixels[other] for other in self._mean]
        return max(known, default=0.0) * self._pixels[name]

    def fits(self, name: str) -> bool:
        """Whether pass `name`, begun now, would end before the deadline."""
        if not self._end_ns or self._clock() + self.expected_ms(name) * 1e6 <= self._end_ns:
            return True
        if name in self._mean:
            self._mean[name] *= _FORGET
            self._deviation[name] *= _FORGET
        return False
