# SPDX-License-Identifier: AGPL-3.0-only
"""What locating costs, by number of cones: CPU time of this process, on one core."""

from __future__ import annotations

import time

import cv2
import numpy as np

from cone_detector.detections import Detections
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.locator import StereoLocator

_WARM_UP = 20
_CONE_HEIGHT_M, _CONE_WIDTH_M, _CAMERA_HEIGHT_M = 0.325, 0.228, 1.0


def cpu_ms(
    count: int, calibration: StereoCalibration, frames: tuple[Frame, Frame], settings: Settings, rounds: int
) -> dict[str, float]:
    """Median and least CPU milliseconds of one call with `count` cones in each image, over `rounds` calls.

    The cones stand at random on the ground, 3 to 20 m away, as crowded as they fall: many hide others.
    """
    rng = np.random.default_rng(count)
    depth = rng.uniform(3, 20, count)
    focal = calibration.fx
    column = calibration.cx[0] + focal * rng.uniform(-0.8, 0.8, count)
    bottom = calibration.cy + focal * _CAMERA_HEIGHT_M / depth
    width, height = focal * _CONE_WIDTH_M / depth, focal * _CONE_HEIGHT_M / depth
    boxes = np.stack((column - width / 2, bottom - height, column + width / 2, bottom), axis=1)
    shifted = boxes - (focal * calibration.baseline / depth)[:, None] * [1, 0, 1, 0]
    left, right = (
        Detections(
            (side + rng.normal(0, 1, boxes.shape)).astype(np.float32), np.ones(count, np.float32), np.zeros(count, int)
        )
        for side in (boxes, shifted)
    )
    locator = StereoLocator(calibration, settings)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _ in range(_WARM_UP):
            locator(left, right, *frames)
        spent = []
        for _ in range(rounds):
            begin = time.process_time_ns()
            locator(left, right, *frames)
            spent.append((time.process_time_ns() - begin) / 1e6)
    finally:
        cv2.setNumThreads(threads)
    return {"median": round(float(np.median(spent)), 3), "least": round(min(spent), 3)}
