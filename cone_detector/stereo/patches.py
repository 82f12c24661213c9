# SPDX-License-Identifier: Apache-2.0
"""Grey patches of many boxes, sampled from an image in one call."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.frames import Frame
from cone_detector.stereo.rectification import Rectifier


class PatchGrid:
    """Sampling points of N patches of equal columns and rows; its memory is kept between frames.

    A patch lies column by column in memory, so that patches shifted sideways are views of one wider patch.
    """

    def __init__(self, columns: int, rows: NDArray[np.float64], stagger: NDArray[np.float64]) -> None:
        """columns: their number. rows: (rows,) where they lie, 0 at the patch's top and 1 at its bottom.

        stagger: (rows,) how far a row's samples are moved to the right, in columns.
        """
        self.columns, self.rows = columns, len(rows)
        # Distances from the patch's centre, in columns and in patch heights.
        across = np.arange(columns) - (columns - 1) / 2
        self._across = (across[:, None] + stagger).astype(np.float32)
        self._down = (rows - 0.5).astype(np.float32)
        self._x = np.empty((0, self.columns, self.rows), np.float32)
        self._y = self._x

    def place(
        self,
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        pitch: NDArray[np.floating],
        height: NDArray[np.floating],
    ) -> None:
        """Puts the patches on rectified pixels. x, y: centres; pitch: pixels a column; height: pixels; (N,) each."""
        count = len(x)
        if count > len(self._x):
            self._x = np.empty((2 * count, self.columns, self.rows), np.float32)
            self._y = np.empty_like(self._x)
        self._count = count
        self._x[:count] = pitch[:, None, None] * self._across + x[:, None, None]
        self._y[:count] = (height[:, None] * self._down + y[:, None])[:, None, :]

    def move(self, shift: NDArray[np.floating]) -> None:
        """Shifts the patches sideways by (N,) pixels."""
        self._x[: self._count] += shift[:, None, None]

    def sample(self, frame: Frame, rectifier: Rectifier | None) -> NDArray[np.float32]:
        """(N, columns, rows) grey values 0..255. rectifier: given where the frame is a raw image."""
        count = self._count
        x, y = self._x[:count].reshape(count, -1), self._y[:count].reshape(count, -1)
        if rectifier is not None:
            x, y = rectifier.to_raw(x, y)
        if frame.pixels.shape[2:] == (3,):
            # OpenCV 5 has no fast path for three channels: places in 1/32 pixel take two thirds of the time there, and
            # their rounding averages out over a patch. Of one or four channels it is 1.7 times the time instead.
            x, y = cv2.convertMaps(x, y, cv2.CV_16SC2)
        values = cv2.remap(frame.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        # The order of red and blue does not matter, as long as both images have the same.
        if values.ndim == 3:
            values = cv2.cvtColor(values, cv2.COLOR_BGR2GRAY if values.shape[2] == 3 else cv2.COLOR_BGRA2GRAY)
        return values.reshape(-1, self.columns, self.rows).astype(np.float32)
