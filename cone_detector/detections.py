# SPDX-License-Identifier: Apache-2.0
"""What the detector hands on: boxes of one camera, and cones in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import FLOAT, compiled, view


@dataclass(frozen=True)
class Detections:
    """Cones of one camera image.

    xyxy: (N, 4) float32, box corners in pixels of the original image, x right, y down.
    score: (N,) float32 in 0..1.
    label: (N,) int64, index into `cone_detector.classes.CLASS_NAMES`.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

    @classmethod
    def from_rows(cls, rows: NDArray[np.float32]) -> Detections:
        """Copies engine rows, (N, 6) of x1, y1, x2, y2, score, class, whose memory the next pass overwrites."""
        return cls(*_split(rows))


@compiled(view(FLOAT, 2))
def _split(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    xyxy, score, label = (
        np.empty((len(rows), 4), np.float32),
        np.empty(len(rows), np.float32),
        np.empty(len(rows), np.int64),
    )
    for index in range(len(rows)):
        xyxy[index], score[index], label[index] = rows[index, :4], rows[index, 4], int(rows[index, 5])
    return xyxy, score, label


@dataclass(frozen=True)
class Cones:
    """Cones in space, in the left camera's optical frame (x right, y down, z forward, metres).

    position: (N, 3) float64, centre of the cone's base.
    covariance: (N, 3, 3) float64, in square metres.
    score: (N,) float32, the lower of the two cameras' scores.
    label: (N,) int64, index into CLASS_NAMES.
    disparity: (N,) float64, pixels of the rectified image.
    disparity_sigma: (N,) float64, one standard deviation of it in pixels.
    left, right: (N,) int64, indices of the two matched boxes in the cameras' Detections.
    """

    position: NDArray[np.float64]
    covariance: NDArray[np.float64]
    score: NDArray[np.float32]
    label: NDArray[np.int64]
    disparity: NDArray[np.float64]
    disparity_sigma: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Cones:
        whole, real = np.empty(0, np.int64), np.empty(0, np.float64)
        return cls(np.empty((0, 3)), np.empty((0, 3, 3)), np.empty(0, np.float32), whole, real, real, whole, whole)
