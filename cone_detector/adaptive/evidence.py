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

    def __str__(self) -> str:
        """The measured signals, left and right, as "mean_confidence 0.71/0.83, size_limit 9.00/11.50"."""
        return ", ".join(f"{name} {left:.2f}/{right:.2f}" for name, (left, right) in self.as_dict().items())

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
        on = [signal for signal in SIGNALS if settings[f"policy.evidence.{signal.name}"]]
        limits = [settings[signal.limit] if signal.limit else 0 for signal in SIGNALS]
        # Values and limits change sign where less is worse, so that one comparison serves all.
        self._sign = np.array([[-1.0 if signal.below else 1.0] for signal in SIGNALS])
        self._limits = np.array(limits, np.float64)[:, None] * self._sign
        self._canvas = canvas
        self._ambiguous = (settings["policy.ambiguous_from"], settings["policy.ambiguous_to"])
        measures: dict[str, Callable[[Sight, Rows], tuple[float, float]]] = {
            "nothing_seen": lambda sight, _: (float(not len(sight.rows[0])), float(not len(sight.rows[1]))),
            "mean_confidence": _each(lambda rows: float(np.add.reduce(rows[:, 4])) / len(rows)),
            "lowest_confidence": _each(lambda rows: float(rows[-1, 4])),
            "ambiguous": self._count_ambiguous,
            "disagreement": _missing_cones,
            "size_limit": _each(lambda rows: float(np.minimum.reduce(rows[:, 3] - rows[:, 1]))),
            "row_gap": _each(_widest_gap),
            "lost_tracks": self._count_lost,
        }
        self._measures = [(SIGNALS.index(signal), measures[signal.name]) for signal in on]

    def read(self, sight: Sight, earlier: Rows) -> Evidence:
        """The evidence of one frame. earlier: rows that were reported of the frame before."""
        values = np.full((len(SIGNALS), 2), np.nan)
        for index, measure in self._measures:
            values[index] = measure(sight, earlier)
        return Evidence(values, values * self._sign > self._limits)

    def _count_ambiguous(self, sight: Sight, _: Rows) -> tuple[float, float]:
        low, high = self._ambiguous
        left, right = (
            float(np.count_nonzero(rows[:, 4] <= high) + np.count_nonzero((faint[:, 4] >= low) & (faint[:, 4] <= high)))
            for rows, faint in zip(sight.rows, sight.faint, strict=True)
        )
        return left, right

    def _count_lost(self, sight: Sight, earlier: Rows) -> tuple[float, float]:
        """Cones of the frame before that this one misses, though they have not left the image."""
        width, height = self._canvas
        # Both eyes at once: the right one is moved aside, out of the left one's reach.
        before, border = _side_by_side(earlier, 2 * width)
        first = np.arange(len(before)) >= border
        x = before[:, :4:2] - first[:, None] * np.float32(2 * width)
        lost = (x[:, 0] > _LEAVING_PX) & (x[:, 1] < width - _LEAVING_PX) & (before[:, 3] < height - _LEAVING_PX)
        lost[follow(before, _side_by_side(sight.rows, 2 * width)[0])[1]] = False
        return float(np.count_nonzero(lost[:border])), float(np.count_nonzero(lost[border:]))


def _each(measure: Callable[[Side], float]) -> Callable[[Sight, Rows], tuple[float, float]]:
    """The measure of each image's rows; NaN where there are none."""

    def both(sight: Sight, _: Rows) -> tuple[float, float]:
        left, right = sight.rows
        return measure(left) if len(left) else np.nan, measure(right) if len(right) else np.nan

    return both


def _missing_cones(sight: Sight, _: Rows) -> tuple[float, float]:
    """By how many cones each image falls short of the other."""
    more = len(sight.rows[1]) - len(sight.rows[0])
    return float(max(more, 0)), float(max(-more, 0))


def _side_by_side(rows: Rows, aside: float) -> tuple[Side, int]:
    """Rows of both images, the right ones moved by `aside` pixels to the right, and how many are left ones."""
    joined = np.concatenate(rows)
    joined[len(rows[0]) :, :4:2] += np.float32(aside)
    return joined, len(rows[0])


def _widest_gap(rows: Side) -> float:
    """The widest step in distance between neighbours of one class, over their median step; 0 where too few are seen.

    Distance goes with one over the box's height, so evenly spaced cones make even steps of that.
    """
    # Below 1 for boxes higher than a pixel: class and depth sort as one number.
    key = rows[:, 5] + 0.999 / np.maximum(rows[:, 3] - rows[:, 1], 1.0)
    key.sort()
    label = np.floor(key)
    step = (key[1:] - key[:-1])[label[1:] == label[:-1]]
    if len(step) < _ROW_OF_CONES - 1:
        return 0.0
    step.sort()
    return float(step[-1] / max(step[len(step) // 2], 1e-6))
