# SPDX-License-Identifier: Apache-2.0
"""From an engine's rows to the detections of each image: thresholds and non-maximum suppression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def keep_confident(rows: NDArray[np.float32], floor: float) -> Pair:
    """Rows of each image with a score of `floor` or more, as views: (N, 6) and (M, 6).

    rows: (2, K, 6) of x1, y1, x2, y2, score, class, each image's sorted by score.
    """
    # Counted from below: a score that is no number is sorted anywhere, and must not cost the last good row.
    left, right = rows[:, :, 4] < np.float32(floor)
    count = rows.shape[1]
    return rows[0, : count - np.count_nonzero(left)], rows[1, : count - np.count_nonzero(right)]


def split_by_confidence(rows: Pair, thresholds: NDArray[np.float32]) -> tuple[Pair, Pair]:
    """Copies of both images' rows at or above their class's threshold, and of those below it, still sorted.

    rows: (N, 6) and (M, 6), sorted by score. thresholds: (classes,) float32.
    """
    sure, faint = [], []
    for side in rows:
        above = side[:, 4] >= thresholds[side[:, 5].astype(np.intp)]
        sure.append(side[above])
        faint.append(side[~above])
    return (sure[0], sure[1]), (faint[0], faint[1])


def suppress(left: NDArray[np.float32], right: NDArray[np.float32], iou: float, across_classes: bool = False) -> Pair:
    """Non-maximum suppression of both images in one call, rows still sorted by score.

    left, right: (N, 6) and (M, 6) rows. iou: overlap in 0..1 above which the less confident of two boxes goes.
    across_classes: of any two boxes; otherwise of two of one class.
    """
    border = len(left)
    rows = np.concatenate((left, right))
    if not len(rows):
        return left, right
    # OpenCV compares boxes of equal class id only: giving the images ids of their own keeps them apart.
    ids = np.zeros(len(rows), np.int32) if across_classes else rows[:, 5].astype(np.int32)
    ids[border:] += len(CLASS_NAMES)
    xywh = rows[:, :4].astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    survivors = cv2.dnn.NMSBoxesBatched(xywh, rows[:, 4], ids, 0.0, iou)
    if len(survivors) == len(rows):
        return rows[:border], rows[border:]
    kept = np.array(survivors, np.intp)
    kept.sort()
    rows, border = rows[kept], int(kept.searchsorted(border))
    return rows[:border], rows[border:]
