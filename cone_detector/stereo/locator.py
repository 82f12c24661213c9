# SPDX-License-Identifier: Apache-2.0
"""The locator: boxes of both images in, cones in space out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cone_detector.detections import Cones, Detections
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.matching import Gates, match
from cone_detector.stereo.triangulation import triangulate


class StereoLocator:
    """Finds the cones that both images show. A `detector.Locator`.

    One thread at a time may call it. settings may be replaced at any time from another thread.
    """

    def __init__(self, calibration: StereoCalibration, settings: Settings) -> None:
        self.calibration = calibration
        self.settings = settings

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
        if calibration.rectifiers:
            left = replace(left, xyxy=calibration.rectifiers[0].rectify_boxes(left.xyxy))
            right = replace(right, xyxy=calibration.rectifiers[1].rectify_boxes(right.xyxy))
        gates = _gates(settings, calibration)
        rows, columns = match(left, right, calibration, gates)
        if not len(rows):
            return Cones.empty()
        left_boxes, right_boxes = left.xyxy[rows].astype(np.float64), right.xyxy[columns].astype(np.float64)
        # Of two labels the surer one holds.
        surer = left.score[rows] >= right.score[columns]
        label = np.where(surer, left.label[rows], right.label[columns])
        score = np.minimum(left.score[rows], right.score[columns])

        disparity = (left_boxes - right_boxes)[:, [0, 2]].mean(axis=1) - calibration.principal_offset
        sigma = np.full(len(disparity), gates.box_sigma)
        near, far = gates.disparity[1], gates.disparity[0]
        inside = (disparity >= far) & (disparity <= near)
        if not inside.all():
            rows, columns, label, score = rows[inside], columns[inside], label[inside], score[inside]
            left_boxes, right_boxes = left_boxes[inside], right_boxes[inside]
            disparity, sigma = disparity[inside], sigma[inside]
        position, covariance = triangulate(
            left_boxes, right_boxes, label, disparity, sigma, calibration, gates.box_sigma
        )
        return Cones(position, covariance, score, label, disparity, sigma, rows, columns)


def _gates(settings: Settings, calibration: StereoCalibration) -> Gates:
    focal_baseline = calibration.fx * calibration.baseline
    return Gates(
        settings["stereo.max_row_difference_px"],
        (focal_baseline / settings["stereo.max_range_m"], focal_baseline / settings["stereo.min_range_m"]),
        settings["stereo.box_sigma_px"],
    )
