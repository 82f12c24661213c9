# SPDX-License-Identifier: Apache-2.0
"""One list of cones from a pass over the whole canvas and a pass over a strip of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.passes import Rows

# Boxes of one cone in two passes: at 320 a box of a small cone is off by a pixel or two, so less than usual is asked.
_SAME_IOU = 0.4
# A box that ends this close to the strip's edge, in canvas pixels, goes on beyond it.
_CUT_PX = 1.0


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


def cut_by_strip(rows: NDArray[np.float32], top: int, height: int, canvas_height: int) -> NDArray[np.bool_]:
    """Which of (N, 4+) boxes in canvas pixels a strip of `height` rows from `top` on does not show whole, (N,)."""
    cut = np.zeros(len(rows), bool)
    if top > 0:
        cut |= rows[:, 1] < top + _CUT_PX
    if top + height < canvas_height:
        cut |= rows[:, 3] > top + height - _CUT_PX
    return cut


def _merge_side(
    whole: NDArray[np.float32], strip: NDArray[np.float32], top: int, height: int, canvas_height: int
) -> NDArray[np.float32]:
    if not len(strip):
        return whole
    cut = cut_by_strip(strip, top, height, canvas_height)
    if not len(whole):
        return strip[~cut]
    rows = np.concatenate((whole[~(_same(whole, strip) & ~cut).any(axis=1)], strip[~cut]))
    return rows[(-rows[:, 4]).argsort(kind="stable")]


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, M), which boxes (N, 4+) and (M, 4+) are of one cone."""
    # One outer operation a side of the box: several times faster than broadcasting (N, M, 2) at these sizes.
    width = np.minimum.outer(a[:, 2], b[:, 2]) - np.maximum.outer(a[:, 0], b[:, 0])
    height = np.minimum.outer(a[:, 3], b[:, 3]) - np.maximum.outer(a[:, 1], b[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    either = np.add.outer(_areas(a), _areas(b)) - shared
    return shared > _SAME_IOU * either


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
