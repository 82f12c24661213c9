# SPDX-License-Identifier: Apache-2.0
"""From an engine's rows to the cones of each image: thresholds and non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import BOOL, DOUBLE, FLOAT, compiled, packed, part_of_compiled, view

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def sift(rows: NDArray[np.float32], floor: float, thresholds: NDArray[np.float32], iou: float) -> tuple[Pair, Pair]:
    """Copies of both images' rows, each cone once: those at or above their class's threshold, and fainter ones.

    rows: (2, K, 6) of x1, y1, x2, y2, score, class, each image's sorted by score; what comes out is, too. floor: lowest
    score that counts. thresholds: (classes,) float32. iou: overlap in 0..1 above which the less confident of two boxes
    of one class goes; 1 keeps all. Raises ValueError for a class that has no threshold.
    """
    left, faint_left = _sift(rows[0], floor, thresholds, iou)
    right, faint_right = _sift(rows[1], floor, thresholds, iou)
    return (left, right), (faint_left, faint_right)


def suppress(rows: Pair, iou: float, across_classes: bool = False) -> Pair:
    """Non-maximum suppression of both images' (N, 6) and (M, 6) rows, sorted by score before and after.

    iou: overlap in 0..1 above which the less confident of two boxes goes. across_classes: of any two boxes, not only of
    two of one class.
    """
    return _suppress(rows[0], iou, across_classes), _suppress(rows[1], iou, across_classes)


@part_of_compiled
def _survivors(rows: NDArray[np.float32], floor: float, iou: float, across_classes: bool) -> NDArray[np.intp]:
    """Indices of the rows that stay, greedily from the first one on."""
    kept = np.empty(len(rows), np.intp)
    count = 0
    for index in range(len(rows)):
        x1, y1, x2, y2, score, label = rows[index]
        if score < floor:
            break
        # A score that is no number may be sorted anywhere, and must not cost the rows behind it.
        stays = score >= floor
        area = (x2 - x1) * (y2 - y1)
        for other in kept[:count]:
            if not stays:
                break
            if not across_classes and rows[other, 5] != label:
                continue
            width = min(x2, rows[other, 2]) - max(x1, rows[other, 0])
            height = min(y2, rows[other, 3]) - max(y1, rows[other, 1])
            if width > 0 and height > 0:
                shared = width * height
                either = area + (rows[other, 2] - rows[other, 0]) * (rows[other, 3] - rows[other, 1]) - shared
                stays = not shared > iou * either
        if stays:
            kept[count] = index
            count += 1
    return kept[:count]


@compiled(view(FLOAT, 2), DOUBLE, packed(FLOAT, 1), DOUBLE)
def _sift(
    rows: NDArray[np.float32], floor: float, thresholds: NDArray[np.float32], iou: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    kept = _survivors(rows, floor, iou, False)
    sure = np.empty(len(kept), np.bool_)
    for place, index in enumerate(kept):
        label = int(rows[index, 5])
        if not 0 <= label < len(thresholds):
            raise ValueError("the network knows a class that has no threshold: install engines of these classes")
        sure[place] = rows[index, 4] >= thresholds[label]
    return rows[kept[sure]], rows[kept[~sure]]


@compiled(view(FLOAT, 2), DOUBLE, BOOL)
def _suppress(rows: NDArray[np.float32], iou: float, across_classes: bool) -> NDArray[np.float32]:
    return rows[_survivors(rows, -np.inf, iou, across_classes)]
