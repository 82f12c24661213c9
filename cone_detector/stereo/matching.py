# SPDX-License-Identifier: Apache-2.0
"""Which boxes of the left and right image are one cone: one-to-one, and the best for all of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cone_detector.classes import CLASS_HEIGHTS_M, CLASS_NAMES
from cone_detector.detections import Detections
from cone_detector.stereo.calibration import StereoCalibration

_HEIGHTS = np.array(CLASS_HEIGHTS_M)
_UNKNOWN = CLASS_NAMES.index("unknown_cone")

# Box edges of a detector err by a share of the box, beside the share of a pixel that `box_sigma` stands for.
_RELATIVE_EDGE_SIGMA = 0.03
# How well a box's height tells its disparity, as a share of it: wide, since cones lie or are cut off.
_SIZE_DISPARITY_SIGMA = 0.25
# Boxes of one cone seen from two places differ in height by little; beyond this ratio they are two cones.
_LARGEST_HEIGHT_RATIO = 1.6
# Costs are squared standard deviations. A pair that costs more than this is none: 4 terms, chi-squared at 99.9 %.
_COST_OF_NO_PAIR = 18.5
_COST_OF_CLASSES = np.full((len(CLASS_NAMES), len(CLASS_NAMES)), 6.0)
_COST_OF_CLASSES[:, _UNKNOWN] = _COST_OF_CLASSES[_UNKNOWN] = 2.0
np.fill_diagonal(_COST_OF_CLASSES, 0.0)
# Boxes whose centres lie closer than this share of their size, in both images, are of one cone.
_SAME_CONE = 0.25


@dataclass(frozen=True)
class Gates:
    """What a pair of boxes must fulfil.

    row: largest difference of the rows of the boxes' centres, pixels.
    disparity: smallest and largest, pixels beyond that at infinity.
    box_sigma: standard deviation of a box's edge, pixels.
    """

    row: float
    disparity: tuple[float, float]
    box_sigma: float


def edge_sigma(height: NDArray[np.float64], box_sigma: float) -> NDArray[np.float64]:
    """Standard deviation in pixels of an edge of boxes so high; of the disparity of two boxes' centres, too."""
    return box_sigma + _RELATIVE_EDGE_SIGMA * height


def match(
    left: Detections, right: Detections, calibration: StereoCalibration, gates: Gates
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of matched boxes in `left` and in `right`, (M,) each. Boxes are those of the rectified images.

    Gates rule pairs out; of the rest, the assignment of least total cost is taken (Jonker-Volgenant, by scipy), where a
    box without partner costs as much as the worst pair that is still one.
    """
    if not len(left) or not len(right):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    cost = np.minimum(pair_costs(left, right, calibration, gates), _COST_OF_NO_PAIR)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < _COST_OF_NO_PAIR
    return rows[good], columns[good]


def without_doubles(
    left: NDArray[np.float64], right: NDArray[np.float64], score: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(M,) which of the matched boxes to keep, where two pairs of boxes of different classes lie on one cone.

    left, right: (M, 4) matched boxes in pixels. score: (M,), the higher one stays.
    """
    # Twice the centres: those of the other image follow from the difference of the columns.
    column, row = left[:, 0] + left[:, 2], left[:, 1] + left[:, 3]
    shift = column - right[:, 0] - right[:, 2]
    reach = 2 * _SAME_CONE * (left[:, 2:] - left[:, :2])
    same = np.abs(column[:, None] - column) <= reach[:, :1]
    same &= np.abs(shift[:, None] - shift) <= reach[:, :1]
    same &= np.abs(row[:, None] - row) <= reach[:, 1:]
    if np.count_nonzero(same) == len(score):
        return np.ones(len(score), bool)
    order = np.arange(len(score))
    surer = (score[None] > score[:, None]) | ((score[None] == score[:, None]) & (order[None] < order[:, None]))
    return ~(same & surer).any(axis=1)


def pair_costs(
    left: Detections, right: Detections, calibration: StereoCalibration, gates: Gates
) -> NDArray[np.float64]:
    """(N, M) costs of all pairs in squared standard deviations, infinite where a gate rules the pair out."""
    a, b = left.xyxy.astype(np.float64)[:, None], right.xyxy.astype(np.float64)[None]
    height_a, height_b = a[..., 3] - a[..., 1], b[..., 3] - b[..., 1]
    height = np.maximum((height_a + height_b) / 2, 1.0)
    variance = 2 * edge_sigma(height, gates.box_sigma) ** 2

    first, second = a[..., 0] - b[..., 0], a[..., 2] - b[..., 2]
    top, bottom = a[..., 1] - b[..., 1], a[..., 3] - b[..., 3]
    disparity = (first + second) / 2 - calibration.principal_offset
    # Z = f H / h and Z = f B / d: the box's height alone tells the disparity that its cone must have.
    focal_ratio = calibration.fx / calibration.fy
    expected = focal_ratio * height * calibration.baseline / _HEIGHTS[left.label][:, None]
    spread = (_SIZE_DISPARITY_SIGMA * expected) ** 2 + variance / 2
    cost = (top**2 + bottom**2 + (first - second) ** 2 / 2) / variance + (disparity - expected) ** 2 / spread
    cost += _COST_OF_CLASSES[left.label[:, None], right.label[None]]

    low, high = gates.disparity
    slack = 2 * gates.box_sigma
    fits = np.abs(top + bottom) / 2 <= gates.row + _RELATIVE_EDGE_SIGMA * height
    fits &= (disparity >= low - slack) & (disparity <= high + slack)
    fits &= (
        np.maximum(height_a, height_b) <= _LARGEST_HEIGHT_RATIO * np.minimum(height_a, height_b) + 4 * gates.box_sigma
    )
    return np.where(fits, cost, np.inf)
