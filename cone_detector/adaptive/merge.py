# SPDX-License-Identifier: Apache-2.0
"""One list of cones from a pass over the whole canvas and a pass over a strip of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.passes import Rows

# Boxes of one cone in two passes: at 320 a box of a small cone is off by a pixel or two, so less than usual is asked.
_SAME_IOU = 0.4
# A box that ends this close to the strip's edge, in canvas pixels, goes on beyond it.
_CUT_PX = 2.0


def merge(whole: Rows, strip: Rows, tops: tuple[int, int], height: int, canvas_height: int) -> Rows:
    """Rows of both passes, each cone once, sorted by score.

    whole: of the pass over the canvas. strip: of the pass over `height` canvas rows from `tops` on, left and right.
    Both are in canvas pixels and free of doubles. Where both show a cone the strip's box holds, which looked closer. A
    box that the strip's edge cut goes: the cone is larger than the box says.
    """
    return (
        _merge_side(whole[0], strip[0], tops[0], height, canvas_height),
        _merge_side(whole[1], strip[1], tops[1], height, canvas_height),
    )


def _merge_side(
    whole: NDArray[np.float32], strip: NDArray[np.float32], top: int, height: int, canvas_height: int
) -> NDArray[np.float32]:
    if not len(strip):
        return whole
    cut = np.zeros(len(strip), bool)
    if top > 0:
        cut |= strip[:, 1] < top + _CUT_PX
    if top + height < canvas_height:
        cut |= strip[:, 3] > top + height - _CUT_PX
    if not len(whole):
        return strip[~cut]
    shared, areas, others = _overlaps(whole, strip)
    iou = shared / (areas[:, None] + others - shared)
    replaced = ((iou > _SAME_IOU) & ~cut).any(axis=1)
    rows = np.concatenate((whole[~replaced], strip[~cut]))
    return rows[np.argsort(-rows[:, 4], kind="stable")]


def _overlaps(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Shared areas (N, M) of boxes (N, 4+) and (M, 4+), and the boxes' own areas (N,) and (M,)."""
    sides = np.minimum(a[:, None, 2:4], b[None, :, 2:4]) - np.maximum(a[:, None, :2], b[None, :, :2])
    np.maximum(sides, 0, out=sides)
    return sides[..., 0] * sides[..., 1], _areas(a), _areas(b)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
