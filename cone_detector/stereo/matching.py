# SPDX-License-Identifier: Apache-2.0
"""Which boxes of the left and right image are one cone: one-to-one, and the best for all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cone_detector.classes import CLASS_HEIGHTS_M, CLASS_NAMES
from cone_detector.compiled import BOOL, DOUBLE, FLOAT, INT, compiled, inlined, packed, view
from cone_detector.detections import Detections
from cone_detector.stereo.calibration import StereoCalibration

_HEIGHTS = np.array(CLASS_HEIGHTS_M)
_UNKNOWN = CLASS_NAMES.index("unknown_cone")

# Box edges of a detector err by a share of the box, beside the share of a pixel that `box_sigma` stands for.
_RELATIVE_EDGE_SIGMA = 0.03
# What the edges of a box that was completed err more than those of one that is seen whole.
_CUT_BOX_FACTOR = 3.0
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


class Pairs(NamedTuple):
    """Boxes that are one cone.

    left, right: (M,) int64, indices of the boxes. left_box, right_box: (M, 4) float32 pixels. label: (M,) int64, of the
    surer one. score: (M,) float32, of the less sure one. edge_sigma: (M,) float64, standard deviation of the boxes'
    edges in pixels; of the disparity of their centres, too.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_box: NDArray[np.float32]
    right_box: NDArray[np.float32]
    label: NDArray[np.int64]
    score: NDArray[np.float32]
    edge_sigma: NDArray[np.float64]

    def only(self, which: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs. which: (M,)."""
        values: tuple[Any, ...] = tuple(each[which] for each in self)
        return Pairs(*values)


def match(
    left: Detections, right: Detections, calibration: StereoCalibration, gates: Gates
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of matched boxes in `left` and in `right`, (M,) each. Boxes are those of the rectified images.

    Gates rule pairs out; of the rest, the assignment of least total cost is taken (Jonker-Volgenant, by scipy), where a
    box without partner costs as much as the worst pair that is still one.
    """
    cost = pair_costs(left, right, calibration, gates)
    return _worth_it(cost, *linear_sum_assignment(cost))


def pair_costs(
    left: Detections, right: Detections, calibration: StereoCalibration, gates: Gates
) -> NDArray[np.float64]:
    """(N, M) costs of all pairs in squared standard deviations; those of a pair that is none are all the same."""
    return _pair_costs(
        left.xyxy,
        right.xyxy,
        left.label,
        right.label,
        _HEIGHTS * (calibration.fy / calibration.focal_baseline),
        _COST_OF_CLASSES,
        calibration.principal_offset,
        gates.row,
        *gates.disparity,
        gates.box_sigma,
    )


def join(
    left: Detections,
    right: Detections,
    matched: tuple[NDArray[np.int64], NDArray[np.int64]],
    cut: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    box_sigma: float,
) -> Pairs:
    """Matched boxes side by side; of two pairs of different classes on one cone the one that is surer.

    matched: as `match` returns them. cut: (N,) and (M,), which boxes the image's border cuts. box_sigma: standard
    deviation of an edge, pixels, of a small box.
    """
    return Pairs(
        *_join(left.xyxy, right.xyxy, left.label, right.label, left.score, right.score, *cut, *matched, box_sigma)
    )


@inlined
def _edge_sigma(height: float, box_sigma: float) -> float:
    """Standard deviation in pixels of an edge of boxes so high; of the disparity of two boxes' centres, too."""
    return box_sigma + _RELATIVE_EDGE_SIGMA * height


@compiled(*[packed(FLOAT, 2)] * 2, *[view(INT, 1)] * 2, packed(DOUBLE, 1), packed(DOUBLE, 2), *[DOUBLE] * 5)
def _pair_costs(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    left_label: NDArray[np.int64],
    right_label: NDArray[np.int64],
    disparity_height: NDArray[np.float64],
    cost_of_classes: NDArray[np.float64],
    principal_offset: float,
    largest_row: float,
    smallest: float,
    largest: float,
    box_sigma: float,
) -> NDArray[np.float64]:
    """disparity_height: (classes,) the height in pixels of a box of a cone whose disparity is one pixel."""
    cost = np.full((len(left), len(right)), _COST_OF_NO_PAIR)
    slack = 2 * box_sigma
    for row in range(len(left)):
        a = left[row]
        for column in range(len(right)):
            b = right[column]
            first, second = np.float64(a[0]) - b[0], np.float64(a[2]) - b[2]
            disparity = (first + second) / 2 - principal_offset
            if not (smallest - slack <= disparity <= largest + slack):
                continue
            top, bottom = np.float64(a[1]) - b[1], np.float64(a[3]) - b[3]
            height_a, height_b = np.float64(a[3]) - a[1], np.float64(b[3]) - b[1]
            height = max((height_a + height_b) / 2, 1.0)
            if abs(top + bottom) / 2 > largest_row + _RELATIVE_EDGE_SIGMA * height:
                continue
            if max(height_a, height_b) > _LARGEST_HEIGHT_RATIO * min(height_a, height_b) + 4 * box_sigma:
                continue
            variance = 2 * _edge_sigma(height, box_sigma) ** 2
            # Z = f H / h and Z = f B / d: the box's height alone tells the disparity that its cone must have.
            expected = height / disparity_height[left_label[row]]
            spread = (_SIZE_DISPARITY_SIGMA * expected) ** 2 + variance / 2
            apart = (top**2 + bottom**2 + (first - second) ** 2 / 2) / variance + (disparity - expected) ** 2 / spread
            apart += cost_of_classes[left_label[row], right_label[column]]
            if apart < _COST_OF_NO_PAIR:
                cost[row, column] = apart
    return cost


@compiled(packed(DOUBLE, 2), packed(INT, 1), packed(INT, 1))
def _worth_it(
    cost: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The assigned boxes, without those that were assigned for want of a partner."""
    worth = np.empty(len(rows), np.bool_)
    for index in range(len(rows)):
        worth[index] = cost[rows[index], columns[index]] < _COST_OF_NO_PAIR
    return rows[worth], columns[worth]


@inlined
def _same_cone(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    other_left: NDArray[np.float32],
    other_right: NDArray[np.float32],
) -> bool:
    """Whether a pair of boxes lies on another one, measured by its own size."""
    across, down = 2 * _SAME_CONE * (left[2] - left[0]), 2 * _SAME_CONE * (left[3] - left[1])
    # Twice the centres' differences: those of the other image follow from the difference of the disparities.
    column = (left[0] + left[2]) - (other_left[0] + other_left[2])
    shift = column - ((right[0] + right[2]) - (other_right[0] + other_right[2]))
    row = (left[1] + left[3]) - (other_left[1] + other_left[3])
    return abs(column) <= across and abs(shift) <= across and abs(row) <= down


@compiled(
    *[packed(FLOAT, 2)] * 2,
    *[view(INT, 1)] * 2,
    *[view(FLOAT, 1)] * 2,
    *[packed(BOOL, 1)] * 2,
    *[packed(INT, 1)] * 2,
    DOUBLE,
)
def _join(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    left_label: NDArray[np.int64],
    right_label: NDArray[np.int64],
    left_score: NDArray[np.float32],
    right_score: NDArray[np.float32],
    left_cut: NDArray[np.bool_],
    right_cut: NDArray[np.bool_],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    box_sigma: float,
) -> tuple[Any, ...]:
    left, right, score = left[rows], right[columns], np.minimum(left_score[rows], right_score[columns])
    stays = np.ones(len(rows), np.bool_)
    for index in range(len(rows)):
        for other in range(len(rows)):
            surer = score[other] > score[index] or (score[other] == score[index] and other < index)
            if surer and _same_cone(left[index], right[index], left[other], right[other]):
                stays[index] = False
    label, sigma = np.empty(len(rows), np.int64), np.empty(len(rows), np.float64)
    for index in range(len(rows)):
        a, b = rows[index], columns[index]
        label[index] = left_label[a] if left_score[a] >= right_score[b] else right_label[b]
        factor = _CUT_BOX_FACTOR if left_cut[a] or right_cut[b] else 1.0
        sigma[index] = factor * _edge_sigma(np.float64(left[index, 3]) - left[index, 1], box_sigma)
    return rows[stays], columns[stays], left[stays], right[stays], label[stays], score[stays], sigma[stays]
