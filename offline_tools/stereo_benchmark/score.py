# SPDX-License-Identifier: AGPL-3.0-only
"""Located cones against the truth: errors of depth and place, and whether the covariance told them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from cone_detector.detections import Cones, Detections
from offline_tools.scenes.stereo import StereoCone

# A detection stands for the true cone whose box it overlaps most, if by this much.
_LEAST_IOU = 0.3
# Ranges in metres that the figures are kept for, each with the depths that count as it.
RANGES: Mapping[str, tuple[float, float]] = {"5": (4.0, 6.0), "10": (8.5, 11.5), "15": (13.5, 16.5)}


@dataclass(frozen=True)
class Located:
    """Located cones and the truth, over all frames.

    truth, error: (N, 3) metres, left optical frame. squared: (N,) squared Mahalanobis distance of the truth, and
    squared_ground the same of x and z alone. wrong: (N,) whether the right box is that of another cone.
    label_right: (N,) whether the class is right.
    """

    truth: NDArray[np.float64]
    error: NDArray[np.float64]
    squared: NDArray[np.float64]
    squared_ground: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    label_right: NDArray[np.bool_]

    @classmethod
    def join(cls, parts: Sequence[Located]) -> Located:
        """All frames as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def compare(cones: Cones, left: Detections, right: Detections, truth: Sequence[StereoCone]) -> Located:
    """One frame's located cones against its truth. A cone whose left box is no true cone's is left out.

    The left box alone says which cone is meant, so a cone that was matched wrongly counts with its whole error.
    """
    meant = _owners(left.xyxy, truth, 0)[cones.left]
    other = _owners(right.xyxy, truth, 1)[cones.right]
    known = meant >= 0
    position = np.array([cone.position for cone in truth], np.float64).reshape(-1, 3)[meant[known]]
    label = np.array([cone.class_index for cone in truth], np.int64)[meant[known]]
    error = cones.position[known] - position
    covariance = cones.covariance[known]
    ground = np.ix_(range(len(error)), [0, 2], [0, 2])
    return Located(
        position,
        error,
        _squared(error, covariance),
        _squared(error[:, [0, 2]], covariance[ground]),
        other[known] != meant[known],
        cones.label[known] == label,
    )


def depth_figures(located: Located) -> dict[str, dict[str, float]]:
    """For each of RANGES: number of cones, median and spread of the depth's error."""
    figures = {}
    for name, (low, high) in RANGES.items():
        inside = (located.truth[:, 2] >= low) & (located.truth[:, 2] < high)
        error, depth = located.error[inside, 2], located.truth[inside, 2]
        share = 100 * np.abs(error) / depth
        figures[name] = {
            "cones": int(inside.sum()),
            "median_error_pct": _figure(np.median(share) if len(share) else np.nan),
            "p95_error_pct": _figure(np.percentile(share, 95) if len(share) else np.nan),
            "standard_deviation_m": _figure(error.std() if len(error) else np.nan),
            "bias_m": _figure(np.median(error) if len(error) else np.nan),
        }
    return figures


def coverage(located: Located, share: float) -> tuple[float, float]:
    """Share of true places in the ellipsoid that should hold `share` of them, and in the ground plane's ellipse."""
    return (
        _figure(np.mean(located.squared <= chi2.ppf(share, 3))),
        _figure(np.mean(located.squared_ground <= chi2.ppf(share, 2))),
    )


def _figure(value: float) -> float:
    return round(float(value), 4)


def _squared(error: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)


def _owners(boxes: NDArray[np.float32], truth: Sequence[StereoCone], side: int) -> NDArray[np.int64]:
    """(N,) index of the true cone that each box shows, -1 for none; one box a cone."""
    owner = np.full(len(boxes), -1, np.int64)
    seen = [(index, box) for index, cone in enumerate(truth) if (box := cone.boxes[side]) is not None]
    if not seen or not len(boxes):
        return owner
    overlap = iou(boxes, np.array([box for _, box in seen]))
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if overlap[row, column] >= _LEAST_IOU:
            owner[row] = seen[column][0]
    return owner


def iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4)."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.prod(np.maximum(size, 0), axis=2)
    areas = np.prod(a[..., 2:] - a[..., :2], axis=2) + np.prod(b[..., 2:] - b[..., :2], axis=2)
    return common / np.maximum(areas - common, 1e-12)
