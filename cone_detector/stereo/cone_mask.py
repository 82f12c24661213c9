# SPDX-License-Identifier: Apache-2.0
"""Which samples of a box's patch show its cone: the cone's outline, less what nearer cones hide."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# The outline in half boxes: the body widens from half to the whole box, then comes the base plate.
_TOP, _PLATE_BEGINS, _PLATE = 0.5, 0.9, 1.05
# Width of the weight's slope at the outline, in half boxes.
_SOFTNESS = 0.3
# A box whose bottom lies lower by this belongs to a nearer cone; closer bottoms leave it open which one hides which.
_NEARER_PX = 1.0


def cone_weight(columns: int, rows: int, patch_width: float) -> NDArray[np.float32]:
    """(columns, rows) weights 0..1 of a patch as high as its box and `patch_width` times as wide."""
    down = (np.arange(rows) + 0.5) / rows
    across = np.abs(np.arange(columns) - (columns - 1) / 2) / columns * 2 * patch_width
    return np.clip((_half_width(down) - across[:, None]) / _SOFTNESS + 0.5, 0, 1).astype(np.float32)


def hide(
    weight: NDArray[np.float32],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    disparity: NDArray[np.floating],
    size: tuple[int, int],
    patch_width: float,
) -> NDArray[np.float32]:
    """Weights of N patches, 0 where either image does not show the cone: beyond its border, or behind a nearer cone.

    (N, columns, rows), or (1, columns, rows) where all are seen whole. weight: (columns, rows) of a cone in full view.
    left, right: (N, 4) matched boxes. disparity: (N,) in pixels. size: width and height of the images.
    """
    sides = np.stack((left, right))
    hidden, before = _overlaps(sides)
    last = np.array((*size, *size), np.float32) - 1
    outside = np.flatnonzero(((sides < 0) | (sides > last)).any(axis=(0, 2)))
    if not len(hidden) and not len(outside):
        return weight[None]
    seen = np.ones((len(left), *weight.shape), bool)
    if len(hidden):
        x, y = _places(left[hidden], weight.shape, patch_width)
        covered = _covered(x, y, disparity[hidden], sides[:, before])
        # Pairs come sorted by the hidden one: all that hide it lie together.
        begins = np.ones(len(hidden), bool)
        np.not_equal(hidden[1:], hidden[:-1], out=begins[1:])
        first = begins.nonzero()[0]
        seen[hidden[first]] = ~np.logical_or.reduceat(covered, first)
    if len(outside):
        x, y = _places(left[outside], weight.shape, patch_width)
        other = x - disparity[outside][:, None]
        shown = (x >= 0) & (x <= last[0]) & (other >= 0) & (other <= last[0])
        seen[outside] &= shown[:, :, None] & (y <= last[1])[:, None, :]
    return weight * seen


def _places(
    box: NDArray[np.float32], shape: tuple[int, ...], patch_width: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where patches' columns lie in the left image, (P, columns), and their rows, (P, rows), in pixels."""
    across, down = _fractions(shape, patch_width)
    x1, y1, x2, y2 = box.T[:, :, None]
    return (x1 + x2) / 2 + (x2 - x1) * across, y1 + (y2 - y1) * down


@cache
def _fractions(shape: tuple[int, int], patch_width: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where a patch's columns and rows lie in its box: (columns,) from the middle, (rows,) from the top."""
    across, down = (((np.arange(count) + 0.5) / count).astype(np.float32) for count in shape)
    return (across - np.float32(0.5)) * np.float32(patch_width), down


def _overlaps(sides: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of boxes (2, N, 4), (P,) and (P,), of which the second is nearer and overlaps the first in either image."""
    x1, y1, x2, y2 = (sides[..., edge] for edge in range(4))
    overlap = x1[:, :, None] < x2[:, None]
    overlap &= overlap.swapaxes(1, 2)
    overlap &= y2[:, :, None] > y1[:, None]
    overlap &= (y2 + _NEARER_PX)[:, :, None] < y2[:, None]
    first, second = (overlap[0] | overlap[1]).nonzero()
    return first, second


def _covered(
    x: NDArray[np.float32], y: NDArray[np.float32], disparity: NDArray[np.float32], nearer: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(P, columns, rows): whether columns x (P, columns) and rows y (P, rows) lie behind the cone of a nearer box.

    disparity: (P,) of what x and y show. nearer: (2, P, 4) boxes in the left and the right image, with lower bottoms.
    """
    x1, y1, x2, y2 = (nearer[..., edge, None] for edge in range(4))
    centre = (x1 + x2) / 2
    centre[1] += disparity[:, None]
    # The box may be flat in one image, or end higher than what it hides: only one of the two tells that it is nearer.
    down = (y - y1) / np.maximum(y2 - y1, 1)
    reach = np.where((down > 0) & (down <= 1), _half_width(down), 0) * ((x2 - x1) / 2)
    covered = np.abs(x - centre)[..., None] < reach[:, :, None, :]
    return covered[0] | covered[1]


def _half_width(down: NDArray[np.floating]) -> NDArray[np.floating]:
    """Half the cone's width in half boxes, at `down` of its height from the tip, 0..1."""
    return np.where(down < _PLATE_BEGINS, _TOP + (1 - _TOP) * down, _PLATE)
