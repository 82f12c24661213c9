# SPDX-License-Identifier: Apache-2.0
"""Cones of the last frames, moved on to where the next frame should show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.passes import NO_ROWS

# A cone is taken for the same where its base moved by no more than its height and so many canvas pixels.
_REACH_PX = 6.0
_VELOCITY_GAIN = np.float32(0.5)
# Frames after which a cone that no pass could see is no longer believed in.
_LONGEST_UNSEEN = 30


def follow(earlier: NDArray[np.float32], rows: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which of the cones `rows` (M, 4+) were seen before, among `earlier` (N, 4+): (M,), and where there: one a hit."""
    if not len(earlier) or not len(rows):
        return np.zeros(len(rows), bool), np.empty(0, np.intp)
    aside = np.subtract.outer(earlier[:, 0] + earlier[:, 2], rows[:, 0] + rows[:, 2]) / 2
    moved = np.maximum(np.abs(aside), np.abs(np.subtract.outer(earlier[:, 3], rows[:, 3])))
    nearest = moved.argmin(axis=0)
    found = moved.min(axis=0) < rows[:, 3] - rows[:, 1] + _REACH_PX
    return found, nearest[found]


class Motion:
    """The known cones of one camera, with the speed of their boxes' sides in pixels a frame."""

    def __init__(self) -> None:
        self._rows: NDArray[np.float32] = NO_ROWS
        self._speed: NDArray[np.float32] = NO_ROWS[:, :4]
        self._unseen: NDArray[np.int64] = np.empty(0, np.int64)

    def predict(self) -> NDArray[np.float32]:
        """(N, 6) rows, where the known cones should be in the next frame."""
        rows = self._rows.copy()
        rows[:, :4] += self._speed
        return rows

    def update(self, seen: NDArray[np.float32], hidden: NDArray[np.bool_]) -> None:
        """Takes in the next frame.

        seen: (M, 6) its rows. hidden: (N,) which of the predicted cones the pass could not have seen.
        """
        predicted = self.predict()
        speed = np.zeros((len(seen), 4), np.float32)
        missing = np.ones(len(predicted), bool)
        found, before = follow(predicted, seen)
        step = seen[found, :4] - self._rows[before, :4]
        speed[found] = self._speed[before] + (step - self._speed[before]) * _VELOCITY_GAIN
        missing[before] = False
        kept = missing & hidden & (self._unseen < _LONGEST_UNSEEN)
        self._rows = np.concatenate((seen, predicted[kept]))
        self._speed = np.concatenate((speed, self._speed[kept]))
        self._unseen = np.concatenate((np.zeros(len(seen), np.int64), self._unseen[kept] + 1))
