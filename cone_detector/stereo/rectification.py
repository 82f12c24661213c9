# SPDX-License-Identifier: Apache-2.0
"""Raw images, rectified where it matters only: boxes' points one way, sampled pixels the other. No image is warped."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Names of sensor_msgs/distortion_models, and how many coefficients each may have.
_MODELS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 4, 5, 8, 12, 14), "equidistant": (0, 4)}

# OpenCV 4 takes criteria in a function of its own, OpenCV 5 in undistortPoints; its default of 5 steps is 0.1 px off in
# the corners of a wide image.
_undistort_points = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
_CRITERIA = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-9)


class Rectifier:
    """Maps between one camera's raw image and the rectified one.

    raw_x, raw_y: (H, W) float32, column and row of the raw image where a pixel of the rectified one comes from.
    """

    def __init__(
        self,
        size: tuple[int, int],
        k: NDArray[np.float64],
        d: NDArray[np.float64],
        r: NDArray[np.float64],
        p: NDArray[np.float64],
        model: str,
    ) -> None:
        """size: width, height in pixels. k: (3, 3). d: (n,). r: (3, 3). p: (3, 4). model: distortion model's name.

        Raises ValueError for a distortion model that is not supported or does not fit the number of coefficients.
        """
        if model not in _MODELS:
            raise ValueError(f"distortion model '{model}' is not supported, must be one of {', '.join(_MODELS)}")
        if d.size not in _MODELS[model]:
            counts = ", ".join(map(str, _MODELS[model]))
            raise ValueError(f"D has {d.size} numbers, distortion model '{model}' takes one of {counts}")
        self._k, self._r, self._p = k, r, p[:, :3]
        self._fisheye = model == "equidistant"
        self._d = d if d.size else np.zeros(4)
        init = cv2.fisheye.initUndistortRectifyMap if self._fisheye else cv2.initUndistortRectifyMap
        self.raw_x, self.raw_y = init(k, self._d, r, self._p, size, cv2.CV_32FC1)

    def rectify(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 2) pixels of the raw image in, (N, 2) pixels of the rectified image out."""
        if not len(points):
            return points
        undistort = cv2.fisheye.undistortPoints if self._fisheye else _undistort_points
        rectified = undistort(points[:, None], self._k, self._d, R=self._r, P=self._p, criteria=_CRITERIA)
        return rectified.reshape(-1, 2)

    def rectify_boxes(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) boxes of the raw image in, boxes through the rectified middles of their four edges out."""
        x1, y1, x2, y2 = xyxy.T
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        middles = np.stack((x1, y, x, y1, x2, y, x, y2), axis=1).reshape(-1, 2)
        return self.rectify(middles).reshape(-1, 4, 2)[:, [0, 1, 2, 3], [0, 1, 0, 1]]
