# SPDX-License-Identifier: Apache-2.0
"""The locator: boxes of both images in, cones in space out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import DOUBLE, FLOAT, compiled, packed
from cone_detector.detections import Cones, Detections
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from cone_detector.stereo.border import completed
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.disparity import Disparities, DisparityRefiner
from cone_detector.stereo.matching import Gates, Pairs, join, match
from cone_detector.stereo.triangulation import triangulate

# Below this the two patches do not show one thing, and the boxes' own disparity holds.
_LEAST_CORRELATION = 0.6
# So many standard deviations of the boxes' disparity from it, a refined one is that of something else.
_LARGEST_CORRECTION = 4.0
# What correlates is the side that faces the camera, on the mean this much nearer than the cone's axis (the outline lies
# at the axis, the middle half a cone nearer): measured on exact synthetic truth.
_SURFACE_TO_AXIS_M = 0.010
_LEAST_DISPARITY = 0.01
_NOT_REFINED = Disparities(*[np.empty(0, np.float32)] * 3)


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
        (left, right), cut = self._prepared(left, right)
        gates = _gates(settings, calibration)
        pairs = join(left, right, match(left, right, calibration, gates), cut, gates.box_sigma)
        if not len(pairs.label):
            return Cones.empty()
        disparity, sigma, inside = self._disparity(pairs, left_frame, right_frame, gates)
        if not inside.all():
            pairs = pairs.only(inside)
            disparity, sigma = disparity[inside], sigma[inside]
        position, covariance = triangulate(
            pairs.left_box, pairs.right_box, pairs.label, disparity, sigma, calibration, pairs.edge_sigma
        )
        return Cones(position, covariance, pairs.score, pairs.label, disparity, sigma, pairs.left, pairs.right)

    def _prepared(
        self, left: Detections, right: Detections
    ) -> tuple[tuple[Detections, Detections], tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Whole cones' boxes on the rectified images, and which of them the image's border cuts.

        They count from the centre of the first pixel, as CameraInfo does, no longer from the image's edge.
        """
        boxes, cuts = [], []
        for side, found in enumerate((left, right)):
            whole, cut = completed(found.xyxy, found.label, self.calibration.size)
            whole -= np.float32(0.5)
            if self.calibration.rectifiers:
                whole = np.ascontiguousarray(self.calibration.rectifiers[side].rectify_boxes(whole))
            boxes.append(Detections(whole, found.score, found.label))
            cuts.append(cut)
        return (boxes[0], boxes[1]), (cuts[0], cuts[1])

    def _disparity(
        self, pairs: Pairs, left_frame: Frame, right_frame: Frame, gates: Gates
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """(M,) disparities beyond that at infinity, their standard deviations, and which are within the gates."""
        calibration = self.calibration
        refined = _NOT_REFINED
        if self.settings["stereo.refine"]:
            left, right = calibration.rectifiers or (None, None)
            refined = self._refiner(pairs.left_box, pairs.right_box, left_frame, right_frame, (left, right))
        return _surer(
            pairs.left_box,
            pairs.right_box,
            pairs.edge_sigma,
            *refined,
            calibration.principal_offset,
            calibration.focal_baseline,
            *gates.disparity,
        )


@compiled(*[packed(FLOAT, 2)] * 2, packed(DOUBLE, 1), *[packed(FLOAT, 1)] * 3, *[DOUBLE] * 4)
def _surer(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    edge_sigma: NDArray[np.float64],
    refined: NDArray[np.float32],
    refined_sigma: NDArray[np.float32],
    correlation: NDArray[np.float32],
    principal_offset: float,
    focal_baseline: float,
    smallest: float,
    largest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The refined disparity of the cone's axis where there is one to trust, else that of the boxes' centres."""
    disparity, sigma = np.empty(len(left)), edge_sigma.copy()
    inside = np.empty(len(left), np.bool_)
    for index in range(len(left)):
        a, b = left[index], right[index]
        found = (np.float64(a[0]) + a[2] - b[0] - b[2]) / 2
        if (
            len(refined)
            and correlation[index] >= _LEAST_CORRELATION
            and abs(refined[index] - found) <= _LARGEST_CORRECTION * edge_sigma[index]
        ):
            surface = max(refined[index] - principal_offset, _LEAST_DISPARITY)
            # 1 / d is proportional to depth, so the way from the surface to the axis is added there.
            found = 1 / (1 / surface + _SURFACE_TO_AXIS_M / focal_baseline) + principal_offset
            sigma[index] = refined_sigma[index]
        disparity[index] = found - principal_offset
        inside[index] = smallest <= disparity[index] <= largest
    return disparity, sigma, inside


def _gates(settings: Settings, calibration: StereoCalibration) -> Gates:
    nearest, farthest = settings["stereo.min_range_m"], settings["stereo.max_range_m"]
    return Gates(
        settings["stereo.max_row_difference_px"],
        (calibration.focal_baseline / farthest, calibration.focal_baseline / nearest),
        settings["stereo.box_sigma_px"],
    )
