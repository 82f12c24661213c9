# SPDX-License-Identifier: Apache-2.0
"""The locator: boxes of both images in, cones in space out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.detections import Cones, Detections
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from cone_detector.stereo.border import completed
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.disparity import DisparityRefiner
from cone_detector.stereo.matching import Gates, edge_sigma, match, without_doubles
from cone_detector.stereo.triangulation import triangulate

# Below this the two patches do not show one thing, and the boxes' own disparity holds.
_LEAST_CORRELATION = 0.6
# So many standard deviations of the boxes' disparity from it, a refined one is that of something else.
_LARGEST_CORRECTION = 4.0

# What the edges of a box that was completed err more than those of one that is seen whole.
_CUT_BOX_FACTOR = 3.0
# What correlates is the side that faces the camera, on the mean this much nearer than the cone's axis (the outline lies
# at the axis, the middle half a cone nearer): measured on exact synthetic truth.
_SURFACE_TO_AXIS_M = 0.010
_LEAST_DISPARITY = 0.01


class StereoLocator:
    """Finds the cones that both images show. A `detector.Locator`.

    One thread at a time may call it. settings may be replaced at any time from another thread.
    """

    def __init__(self, calibration: StereoCalibration, settings: Settings) -> None:
        self.calibration = calibration
        self.settings = settings
        self._refiner = DisparityRefiner(calibration.size)

    def __call__(self, left: Detections, right: Detections, left_frame: Frame, right_frame: Frame) -> Cones:
        """Cones in the left camera's optical frame, in the order of `left`.

        left, right: boxes in pixels of the images as they came. Raises CalibrationError, a ValueError, where an image's
        size is not that of the calibration.
        """
        calibration, settings = self.calibration, self.settings
        calibration.check_size("left", left_frame.size)
        calibration.check_size("right", right_frame.size)
        if not len(left) or not len(right):
            return Cones.empty()
        (left, right), (left_cut, right_cut) = self._prepared(left, right)
        gates = _gates(settings, calibration)
        rows, columns = match(left, right, calibration, gates)
        if not len(rows):
            return Cones.empty()
        left_boxes, right_boxes = left.xyxy[rows].astype(np.float64), right.xyxy[columns].astype(np.float64)
        # Of two labels the surer one holds.
        surer = left.score[rows] >= right.score[columns]
        label = np.where(surer, left.label[rows], right.label[columns])
        score = np.minimum(left.score[rows], right.score[columns])
        kept = without_doubles(left_boxes, right_boxes, score)
        if not kept.all():
            rows, columns, label, score = rows[kept], columns[kept], label[kept], score[kept]
            left_boxes, right_boxes = left_boxes[kept], right_boxes[kept]

        edges = edge_sigma(left_boxes[:, 3] - left_boxes[:, 1], gates.box_sigma)
        edges[left_cut[rows] | right_cut[columns]] *= _CUT_BOX_FACTOR
        disparity, sigma = self._disparity(left_boxes, right_boxes, left_frame, right_frame, edges)
        far, near = gates.disparity
        kept = (disparity >= far) & (disparity <= near)
        if not kept.all():
            rows, columns, label, score = rows[kept], columns[kept], label[kept], score[kept]
            left_boxes, right_boxes = left_boxes[kept], right_boxes[kept]
            disparity, sigma, edges = disparity[kept], sigma[kept], edges[kept]
        position, covariance = triangulate(left_boxes, right_boxes, label, disparity, sigma, calibration, edges)
        return Cones(position, covariance, score, label, disparity, sigma, rows, columns)

    def _prepared(
        self, left: Detections, right: Detections
    ) -> tuple[tuple[Detections, Detections], tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Whole cones' boxes on the rectified images, and which of them the image's border cuts.

        They count from the centre of the first pixel, as CameraInfo does, no longer from the image's edge.
        """
        both, labels = np.concatenate((left.xyxy, right.xyxy)), np.concatenate((left.label, right.label))
        boxes, cut = completed(both, labels, self.calibration.size)
        boxes = boxes - np.float32(0.5)
        border = len(left)
        sides = boxes[:border], boxes[border:]
        if self.calibration.rectifiers:
            first, second = self.calibration.rectifiers
            sides = first.rectify_boxes(sides[0]), second.rectify_boxes(sides[1])
        prepared = Detections(sides[0], left.score, left.label), Detections(sides[1], right.score, right.label)
        return prepared, (cut[:border], cut[border:])

    def _disparity(
        self,
        left: NDArray[np.float64],
        right: NDArray[np.float64],
        left_frame: Frame,
        right_frame: Frame,
        sigma: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N,) disparities beyond that at infinity, and their standard deviations. sigma: (N,) those of the boxes'."""
        calibration = self.calibration
        of_boxes = (left[:, 0] + left[:, 2] - right[:, 0] - right[:, 2]) / 2
        if self.settings["stereo.refine"]:
            rectifiers = (
                (calibration.rectifiers[0], calibration.rectifiers[1]) if calibration.rectifiers else (None, None)
            )
            narrow = left.astype(np.float32), right.astype(np.float32)
            refined = self._refiner(*narrow, left_frame, right_frame, rectifiers)
            good = refined.correlation >= _LEAST_CORRELATION
            good &= np.abs(refined.value - of_boxes) <= _LARGEST_CORRECTION * sigma
            surface = np.maximum(refined.value - calibration.principal_offset, _LEAST_DISPARITY)
            # 1 / d is proportional to depth, so the way from the surface to the axis is added there.
            axis = 1 / (1 / surface + _SURFACE_TO_AXIS_M / (calibration.fx * calibration.baseline))
            refined_axis = axis + calibration.principal_offset
            of_boxes, sigma = np.where(good, refined_axis, of_boxes), np.where(good, refined.sigma, sigma)
        return of_boxes - calibration.principal_offset, sigma


def _gates(settings: Settings, calibration: StereoCalibration) -> Gates:
    focal_baseline = calibration.fx * calibration.baseline
    return Gates(
        settings["stereo.max_row_difference_px"],
        (focal_baseline / settings["stereo.max_range_m"], focal_baseline / settings["stereo.min_range_m"]),
        settings["stereo.box_sigma_px"],
    )
