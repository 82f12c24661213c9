# SPDX-License-Identifier: Apache-2.0
"""What speaks for a second look: signals drawn from the first pass, each with its limit, each switchable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.motion import follow
from cone_detector.adaptive.passes import SIDES, Rows, Sight
from cone_detector.settings import Settings

Side = NDArray[np.float32]

# A cone that ends so close to a side or the bottom of the canvas leaves the image.
_LEAVING_PX = 12.0
# Boxes of one class must be so many before their spacing says anything.
_ROW_OF_CONES = 4


@dataclass(frozen=True)
class Signal:
    """One kind of evidence.

    name: of its switch, `policy.evidence.<name>`. phrase: in the published reason. limit: the setting with which it is
    compared. below: whether values below the limit are doubtful, not those above.
    """

    name: str
    phrase: str
    limit: str
    below: bool = False


SIGNALS = (
    Signal("nothing_seen", "nothing seen", ""),
    Signal("mean_confidence", "mean confidence", "policy.min_mean_confidence", below=True),
    Signal("lowest_confidence", "lowest confidence", "policy.min_lowest_confidence", below=True),
    Signal("ambiguous", "ambiguous", "policy.max_ambiguous"),
    Signal("disagreement", "disagreement", "policy.max_disagreement"),
    Signal("size_limit", "small cones", "policy.size_limit_px", below=True),
    Signal("row_gap", "gap in a row", "policy.max_row_gap"),
    Signal("lost_tracks", "cone lost", "policy.max_lost_tracks"),
)


@dataclass(frozen=True)
class Evidence:
    """The signals of one frame.

    values: (len(SIGNALS), 2) float64, left and right; NaN where switched off or nothing to measure.
    doubtful: (len(SIGNALS), 2) bool, values beyond their limits.
    """

    values: NDArray[np.float64]
    doubtful: NDArray[np.bool_]

    @cached_property
    def reason(self) -> str:
        """Each doubt with its eye, as "mean confidence left, small cones both"; empty without any."""
        if not self.doubtful.any():
            return ""
        return ", ".join(
            f"{signal.phrase} {'both' if eyes.all() else SIDES[int(eyes.argmax())]}"
            for signal, eyes in zip(SIGNALS, self.doubtful, strict=True)
            if eyes.any()
        )

    def as_dict(self) -> dict[str, tuple[float, float]]:
        """The measured signals by name: values of the left and the right image."""
        return {
            signal.name: (float(left), float(right))
            for signal, (left, right) in zip(SIGNALS, self.values, strict=True)
            if left == left or right == right
        }


class EvidenceReader:
    """Measures the signals that are switched on."""

    def __init__(self, settings: Settings, canvas: tuple[int, int]) -> None:
        """canvas: (width, height) in pixels."""
        self._on = {signal.name for signal in SIGNALS if settings[f"policy.evidence.{signal.name}"]}
        limits = [settings[signal.limit] if signal.limit else 0 for signal in SIGNALS]
        # Values and limits change sign where less is worse, so that one comparison serves all.
        self._sign = np.array([[-1.0 if signal.below else 1.0] for signal in SIGNALS])
        self._limits = np.array(limits, np.float64)[:, None] * self._sign
        self._inside = (_LEAVING_PX, canvas[0] - _LEAVING_PX, canvas[1] - _LEAVING_PX)
        self._ambiguous = (settings["policy.ambiguous_from"], settings["policy.ambiguous_to"])
        measures: dict[str, Callable[[Side, Side, Side], float]] = {
            "nothing_seen": lambda rows, faint, earlier: float(not len(rows)),
            "mean_confidence": lambda rows, faint, earlier: float(np.add.reduce(rows[:, 4])) / len(rows),
            "lowest_confidence": lambda rows, faint, earlier: float(rows[-1, 4]),
            "ambiguous": self._count_ambiguous,
            "size_limit": lambda rows, faint, earlier: float(np.minimum.reduce(rows[:, 3] - rows[:, 1])),
            "row_gap": _widest_gap,
            "lost_tracks": self._count_lost,
        }
        self._measures = [
            (index, measures[signal.name], signal.name in _NEED_CONES)
            for index, signal in enumerate(SIGNALS)
            if signal.name in self._on and signal.name in measures
        ]

    def read(self, sight: Sight, earlier: Rows) -> Evidence:
        """The evidence of one frame. earlier: rows that were reported of the frame before."""
        values = np.full((len(SIGNALS), 2), np.nan)
        for side in (0, 1):
            rows, faint, before = sight.rows[side], sight.faint[side], earlier[side]
            for index, measure, needs_cones in self._measures:
                if len(rows) or not needs_cones:
                    values[index, side] = measure(rows, faint, before)
        if "disagreement" in self._on:
            left, right = map(len, sight.rows)
            values[_DISAGREEMENT] = max(right - left, 0), max(left - right, 0)
        return Evidence(values, values * self._sign > self._limits)

    def _count_ambiguous(self, rows: Side, faint: Side, earlier: Side) -> float:
        low, high = self._ambiguous
        return float(np.count_nonzero(rows[:, 4] <= high) + np.count_nonzero(faint[:, 4] >= low))

    def _count_lost(self, rows: Side, faint: Side, earlier: Side) -> float:
        """Cones of the frame before that this one misses, though they have not left the image."""
        if not len(earlier):
            return 0.0
        first, last, bottom = self._inside
        lost = (earlier[:, 0] > first) & (earlier[:, 2] < last) & (earlier[:, 3] < bottom)
        lost[follow(earlier, rows)[1]] = False
        return float(np.count_nonzero(lost))


_DISAGREEMENT = next(index for index, signal in enumerate(SIGNALS) if signal.name == "disagreement")
_NEED_CONES = frozenset({"mean_confidence", "lowest_confidence", "size_limit", "row_gap"})


def _widest_gap(rows: Side, faint: Side, earlier: Side) -> float:
    """The widest step in distance between neighbours of one class, over their median step; 0 where too few are seen.

    Distance goes with one over the box's height, so evenly spaced cones make even steps of that.
    """
    depth = 1.0 / np.maximum(rows[:, 3] - rows[:, 1], 1.0)
    order = np.lexsort((depth, rows[:, 5]))
    step = np.diff(depth[order])
    step = step[np.diff(rows[order, 5]) == 0]
    if len(step) < _ROW_OF_CONES - 1:
        return 0.0
    step.sort()
    return float(step[-1] / max(step[len(step) // 2], 1e-6))
