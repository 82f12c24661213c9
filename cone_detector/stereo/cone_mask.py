# SPDX-License-Identifier: Apache-2.0
"""Which samples of a box's patch show its cone: the cone's outline, less what nearer cones hide."""

from __future__ import annotations

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
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    disparity: NDArray[np.float64],
    size: tuple[int, int],
    patch_width: float,
) -> NDArray[np.float32]:
    """Weights of N patches, 0 where either image does not show the cone: beyond its border, or behind a nearer cone.

    (N, columns, rows), or (1, columns, rows) where all are seen whole. weight: (columns, rows) of a cone in full view.
    left, right: (N, 4) matched boxes. disparity: (N,) in pixels. size: width and height of the images.
    """
    sides = np.stack((left, right))
    hidden, before = _overlaps(sides)
    low, high = np.minimum(left, right), np.maximum(left, right)
    beyond = (low[:, 0] < 0) | (low[:, 1] < 0) | (high[:, 2] > size[0] - 1) | (high[:, 3] > size[1] - 1)
    outside = np.nonzero(beyond)[0]
    if not len(hidden) and not len(outside):
        return weight[None]
    seen = np.ones((len(left), *weight.shape), bool)
    if len(hidden):
        x, y = _places(left[hidden], disparity[hidden], weight.shape, patch_width)
        covered = _inside(x, y, sides[:, before])
        np.logical_and.at(seen, hidden, ~(covered[0] | covered[1]))
    if len(outside):
        x, y = _places(left[outside], disparity[outside], weight.shape, patch_width)
        shown = ((x >= 0) & (x <= size[0] - 1))[..., None] & (y <= size[1] - 1)[:, None, :]
        seen[outside] &= shown[0] & shown[1]
    return weight * seen


def _places(
    box: NDArray[np.float64], disparity: NDArray[np.float64], shape: tuple[int, ...], patch_width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where patches' columns lie in the left and right image, (2, P, columns), and their rows, (P, rows), in pixels."""
    columns, rows = shape
    across = ((np.arange(columns) + 0.5) / columns - 0.5) * patch_width
    x1, y1, x2, y2 = box.T[:, :, None]
    x = (x1 + x2) / 2 + (x2 - x1) * across
    return np.stack((x, x - disparity[:, None])), y1 + (y2 - y1) * ((np.arange(rows) + 0.5) / rows)


def _overlaps(sides: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of boxes (2, N, 4), (P,) and (P,), of which the second is nearer and overlaps the first in either image."""
    x1, y1, x2, y2 = np.moveaxis(sides, 2, 0)
    bottom = y2[:, :, None]
    overlap = (x1[:, :, None] < x2[:, None]) & (x2[:, :, None] > x1[:, None])
    overlap &= (bottom > y1[:, None]) & (y2[:, None] > bottom + _NEARER_PX)
    first, second = np.nonzero(overlap[0] | overlap[1])
    return first, second


def _inside(x: NDArray[np.float64], y: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(2, P, columns, rows): whether columns x (2, P, columns) and rows y (P, rows) lie on cones of boxes (2, P, 4)."""
    x1, y1, x2, y2 = np.moveaxis(box, 2, 0)[..., None]
    down = (y - y1) / np.maximum(y2 - y1, 1)
    reach = np.where((down >= 0) & (down <= 1), _half_width(down), 0.0) * (x2 - x1) / 2
    return np.abs(x - (x1 + x2) / 2)[..., None] < reach[:, :, None, :]


def _half_width(down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the cone's width in half boxes, at `down` of its height from the tip, 0..1."""
    return np.where(down < _PLATE_BEGINS, _TOP + (1 - _TOP) * down, _PLATE)
