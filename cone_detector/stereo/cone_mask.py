# SPDX-License-Identifier: Apache-2.0
"""Which samples of a box's patch show its cone: the cone's outline, less what nearer cones hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import DOUBLE, FLOAT, INT, compiled, inlined, packed, part_of_compiled

# The outline in half boxes: the body widens from half to the whole box, then comes the base plate.
_TOP, _PLATE_BEGINS, _PLATE = 0.5, 0.9, 1.05
# Width of the weight's slope at the outline, in half boxes.
_SOFTNESS = 0.3
# A box whose bottom lies lower by this belongs to a nearer cone; closer bottoms leave it open which one hides which.
_NEARER_PX = 1.0


@inlined
def _half_width(down: np.float32) -> np.float32:
    """The outline's, in half boxes. down: where in the box, 0 at its top and 1 at its bottom."""
    return np.float32(_TOP) + np.float32(1 - _TOP) * down if down < np.float32(_PLATE_BEGINS) else np.float32(_PLATE)


@compiled(INT, INT, DOUBLE)
def cone_weight(columns: int, rows: int, patch_width: float) -> NDArray[np.float32]:
    """(rows, columns) weights 0..1 of a patch as high as its box and `patch_width` times as wide."""
    weight = np.empty((rows, columns), np.float32)
    for row in range(rows):
        reach = _half_width(np.float32((row + 0.5) / rows))
        for column in range(columns):
            across = abs(column - (columns - 1) / 2) / columns * 2 * patch_width
            inside = float(reach - across) / _SOFTNESS
            weight[row, column] = min(max(inside + 0.5, 0.0), 1.0)
    return weight


def visible(
    weight: NDArray[np.float32],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    disparity: NDArray[np.float32],
    size: tuple[int, int],
    patch_width: float,
) -> NDArray[np.float32]:
    """Weights of N patches, 0 where either image does not show the cone: beyond its border, or behind a nearer cone.

    (N, rows, columns). weight: (rows, columns) of a cone in full view. left, right: (N, 4) matched boxes. disparity:
    (N,) in pixels. size: width and height of the images.
    """
    return _visible(weight, left, right, disparity, *size, np.float32(patch_width))


@inlined
def _nearer(box: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether the other box overlaps this one and stands in front of it."""
    beside = box[0] >= other[2] or other[0] >= box[2]
    return not beside and box[3] > other[1] and box[3] + np.float32(_NEARER_PX) < other[3]


@inlined
def _columns(box: NDArray[np.float32], columns: int, patch_width: np.float32) -> tuple[np.float32, np.float32]:
    """Where the first sample of each of a patch's rows lies, and how far it is to the next; pixels."""
    pitch = (box[2] - box[0]) * patch_width / np.float32(columns)
    return (box[0] + box[2]) / 2 - pitch * np.float32((columns - 1) / 2), pitch


@inlined
def _row(box: NDArray[np.float32], row: int, rows: int) -> np.float32:
    """Where the samples of one of a patch's rows lie, pixels."""
    return box[1] + (box[3] - box[1]) * (np.float32(row) + np.float32(0.5)) / np.float32(rows)


@part_of_compiled
def _cover(
    seen: NDArray[np.float32],
    box: NDArray[np.float32],
    nearer: NDArray[np.float32],
    shift: np.float32,
    patch_width: np.float32,
) -> None:
    """Takes the weight off samples behind the cone of a nearer box, which is moved to the right by `shift` pixels."""
    rows, columns = seen.shape
    half, middle = (nearer[2] - nearer[0]) / 2, (nearer[0] + nearer[2]) / 2 + shift
    first, pitch = _columns(box, columns, patch_width)
    first -= middle
    # The box may be flat in one image, or end higher than what it hides: only one of the two tells that it is nearer.
    height = max(nearer[3] - nearer[1], np.float32(1))
    for row in range(rows):
        down = (_row(box, row, rows) - nearer[1]) / height
        if not 0 < down <= 1:
            continue
        reach = half * _half_width(down)
        for column in range(columns):
            if abs(first + pitch * np.float32(column)) < reach:
                seen[row, column] = 0


@part_of_compiled
def _cut(
    seen: NDArray[np.float32],
    box: NDArray[np.float32],
    disparity: np.float32,
    last_column: np.float32,
    last_row: np.float32,
    patch_width: np.float32,
) -> None:
    """Takes the weight off samples that lie beyond the border of either image."""
    rows, columns = seen.shape
    first, pitch = _columns(box, columns, patch_width)
    for row in range(rows):
        y = _row(box, row, rows)
        for column in range(columns):
            x = first + pitch * np.float32(column)
            if not (0 <= x <= last_column and 0 <= x - disparity <= last_column and y <= last_row):
                seen[row, column] = 0


@compiled(packed(FLOAT, 2), packed(FLOAT, 2), packed(FLOAT, 2), packed(FLOAT, 1), INT, INT, FLOAT)
def _visible(
    weight: NDArray[np.float32],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    disparity: NDArray[np.float32],
    width: int,
    height: int,
    patch_width: np.float32,
) -> NDArray[np.float32]:
    seen = np.empty((len(left), *weight.shape), np.float32)
    last_column, last_row = np.float32(width - 1), np.float32(height - 1)
    for index in range(len(left)):
        seen[index] = weight
        outside = False
        for box in (left[index], right[index]):
            outside |= box[0] < 0 or box[1] < 0 or box[2] > last_column or box[3] > last_row
        if outside:
            _cut(seen[index], left[index], disparity[index], last_column, last_row, patch_width)
        for other in range(len(left)):
            if _nearer(left[index], left[other]) or _nearer(right[index], right[other]):
                _cover(seen[index], left[index], left[other], np.float32(0), patch_width)
                _cover(seen[index], left[index], right[other], disparity[index], patch_width)
    return seen
