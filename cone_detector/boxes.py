# SPDX-License-Identifier: Apache-2.0
"""From an engine's rows to the detections of each image: thresholds and non-maximum suppression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def keep_confident(rows: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """Rows of one image with a score of `floor` or more, as a view: (N, 6).

    rows: (K, 6) of x1, y1, x2, y2, score, class, sorted by score.
    """
    return rows[: np.searchsorted(-rows[:, 4], -np.float32(floor), side="right")]


def split_by_confidence(
    rows: NDArray[np.float32], thresholds: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Copies of the rows of one image at or above their class's threshold, and of those below it, still sorted.

    rows: (N, 6) of x1, y1, x2, y2, score, class, sorted by score. thresholds: (classes,) float32.
    """
    sure = rows[:, 4] >= thresholds[rows[:, 5].astype(np.intp)]
    return rows[sure], rows[~sure]


def suppress(
    left: NDArray[np.float32], right: NDArray[np.float32], iou: float, across_classes: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Non-maximum suppression of both images in one call, rows still sorted by score.

    left, right: (N, 6) and (M, 6) rows. iou: overlap in 0..1 above which the less confident of two boxes goes.
    across_classes: of any two boxes; otherwise of two of one class.
    """
    if not len(left) and not len(right):
        return left, right
    rows = np.concatenate((left, right))
    # OpenCV compares boxes of equal class id only: giving the images ids of their own keeps them apart.
    ids = np.zeros(len(rows), np.int32) if across_classes else rows[:, 5].astype(np.int32)
    ids[len(left) :] += 1 + int(ids.max())
    xywh = rows[:, :4].astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    survivors = cv2.dnn.NMSBoxesBatched(xywh, rows[:, 4], ids, 0.0, iou)
    kept = np.sort(np.asarray(survivors, np.intp))
    border = int(np.searchsorted(kept, len(left)))
    return rows[kept[:border]], rows[kept[border:]]
