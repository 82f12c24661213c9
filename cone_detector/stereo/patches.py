# SPDX-License-Identifier: Apache-2.0
"""Grey patches of many boxes, sampled from an image in one call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import BYTE, FLOAT, INT, compiled, inlined, packed, part_of_compiled, view
from cone_detector.frames import Frame
from cone_detector.stereo.rectification import Rectifier

_NOT_RECTIFIED = np.empty((0, 0), np.float32)


class PatchGrid:
    """Where patches of equal columns and rows are sampled."""

    def __init__(
        self,
        columns: int,
        down: NDArray[np.float64],
        stagger: NDArray[np.float64],
        first: NDArray[np.intp],
        last: NDArray[np.intp],
    ) -> None:
        """columns: their number. down: (rows,) where the rows lie, 0 at the patch's top and 1 at its bottom.

        stagger: (rows,) how far a row's samples are moved to the right, in columns. first, last: (rows,) the first
        column of a row that is sampled, and the one behind the last.
        """
        self._columns = columns
        # Distances from the patch's centre, in columns and in patch heights.
        self._across = (stagger - (columns - 1) / 2).astype(np.float32)
        self._down = (down - 0.5).astype(np.float32)
        self._spans = np.stack((first, last), axis=1).astype(np.int64)

    def sample(
        self,
        frame: Frame,
        rectifier: Rectifier | None,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        pitch: NDArray[np.float32],
        height: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """(N, rows, columns) grey values 0..255, 0 where a row is not sampled.

        x, y: (N,) the patches' centres, rectified pixels. pitch: (N,) pixels a column. height: (N,) pixels.
        rectifier: given where the frame is a raw image. Pixels at the border go on beyond it.
        """
        pixels = frame.pixels if frame.pixels.ndim == 3 else frame.pixels[:, :, None]
        raw_x, raw_y = (_NOT_RECTIFIED, _NOT_RECTIFIED) if rectifier is None else (rectifier.raw_x, rectifier.raw_y)
        grid = self._across, self._down, self._spans, self._columns
        return _sample(pixels, raw_x, raw_y, x, y, pitch, height, *grid)


@inlined
def _within(value: np.float32, last: int) -> np.float32:
    """The nearest place on an axis 0..last; what is no number lies at 0."""
    if not value > 0:
        return np.float32(0)
    return min(value, np.float32(last))


@inlined
def _between(place: np.float32, last: int) -> tuple[np.uintp, np.uintp, np.float32]:
    """The points of an axis 0..last on both sides of a place, and how far it is from the first to the second."""
    place = _within(place, last)
    # Unsigned, since Numba asks a signed index whether it counts from the end.
    first, second = np.uintp(place), np.uintp(min(int(place) + 1, last))
    return first, second, place - np.float32(first)


@inlined
def _mapped(table: NDArray[np.float32], row: np.float32, column: np.float32) -> np.float32:
    """What a table holds at a place between its points."""
    upper, lower, down = _between(row, table.shape[0] - 1)
    first, second, across = _between(column, table.shape[1] - 1)
    above = table[upper, first] + (table[upper, second] - table[upper, first]) * across
    below = table[lower, first] + (table[lower, second] - table[lower, first]) * across
    return above + (below - above) * down


@inlined
def _sum(pixels: NDArray[np.uint8], row: np.uintp, column: np.uintp) -> np.int64:
    """Four times the grey of a pixel: green counts twice, blue and red once, in whichever order they are."""
    if pixels.shape[2] < 3:
        return 4 * np.int64(pixels[row, column, 0])
    return np.int64(pixels[row, column, 0]) + 2 * np.int64(pixels[row, column, 1]) + np.int64(pixels[row, column, 2])


@inlined
def _grey(pixels: NDArray[np.uint8], row: np.float32, column: np.float32) -> np.float32:
    """The grey at a place between pixels."""
    upper, lower, down = _between(row, pixels.shape[0] - 1)
    first, second, across = _between(column, pixels.shape[1] - 1)
    upper_first, lower_first = _sum(pixels, upper, first), _sum(pixels, lower, first)
    above = np.float32(upper_first) + np.float32(_sum(pixels, upper, second) - upper_first) * across
    below = np.float32(lower_first) + np.float32(_sum(pixels, lower, second) - lower_first) * across
    return (above + (below - above) * down) * np.float32(0.25)


@part_of_compiled
def _sample_row(
    pixels: NDArray[np.uint8],
    raw_x: NDArray[np.float32],
    raw_y: NDArray[np.float32],
    x: np.float32,
    y: np.float32,
    pitch: np.float32,
    out: NDArray[np.float32],
) -> None:
    """Samples along a row of the rectified image from x on, each `pitch` pixels further."""
    if raw_x.size:
        for index in range(len(out)):
            column = x + pitch * np.float32(index)
            out[index] = _grey(pixels, _mapped(raw_y, y, column), _mapped(raw_x, y, column))
    else:
        for index in range(len(out)):
            out[index] = _grey(pixels, y, x + pitch * np.float32(index))


@compiled(
    view(BYTE, 3),
    packed(FLOAT, 2),
    packed(FLOAT, 2),
    *[packed(FLOAT, 1)] * 4,
    *[packed(FLOAT, 1)] * 2,
    packed(INT, 2),
    INT,
)
def _sample(
    pixels: NDArray[np.uint8],
    raw_x: NDArray[np.float32],
    raw_y: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    pitch: NDArray[np.float32],
    height: NDArray[np.float32],
    across: NDArray[np.float32],
    down: NDArray[np.float32],
    spans: NDArray[np.int64],
    columns: int,
) -> NDArray[np.float32]:
    values = np.zeros((len(x), len(down), columns), np.float32)
    for index in range(len(x)):
        for row in range(len(down)):
            first, last = spans[row]
            begin = x[index] + pitch[index] * (across[row] + np.float32(first))
            line = y[index] + height[index] * down[row]
            _sample_row(pixels, raw_x, raw_y, begin, line, pitch[index], values[index, row, first:last])
    return values
