# SPDX-License-Identifier: Apache-2.0
"""From matched boxes and their disparity to the cone's base in the left optical frame, with covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.stereo.calibration import StereoCalibration

# From the base's centre to the near edge that a box's bottom shows: half the base, 0.228 m or 0.285 m (Formula Student
# rules, "track cones"), times 4 / pi, the mean reach of a square that may stand at any angle.
_NEAR_EDGE_M = np.array([0.1425 if name == "large_orange_cone" else 0.114 for name in CLASS_NAMES]) * 4 / np.pi

# What no image tells: how the base is turned, how the cone leans, where on its round side the contrast lies. An unknown
# cone may lie on its side.
_SHAPE_SIGMA_M = np.array([0.05 if name == "unknown_cone" else 0.012 for name in CLASS_NAMES])


def triangulate(
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    label: NDArray[np.int64],
    disparity: NDArray[np.float64],
    disparity_sigma: NDArray[np.float64],
    calibration: StereoCalibration,
    edge_sigma: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Base centres (N, 3) in metres and covariances (N, 3, 3) in square metres.

    left, right: (N, 4) matched boxes in pixels of the rectified images. disparity: (N,) of the cone's axis, in pixels
    beyond that at infinity; disparity_sigma: (N,) its standard deviation. edge_sigma: (N,) that of
    a box's edge, pixels.

    Z = fx B / d, sigma_Z = Z^2 sigma_d / (fx B) (the error model of stereo; Gallup et al., CVPR 2008); column and row
    are means of both images, the right one's moved by the disparity.
    """
    depth = calibration.depth(disparity)
    column = (left[:, 0] + left[:, 2] + right[:, 0] + right[:, 2]) / 4
    column += (disparity + calibration.principal_offset) / 2
    row = (left[:, 3] + right[:, 3]) / 2
    x = (column - calibration.cx[0]) / calibration.fx
    y = (row - calibration.cy) / calibration.fy
    position = np.stack((x * depth, y * (depth - _NEAR_EDGE_M[label]), depth), axis=1)

    depth_sigma = depth**2 * disparity_sigma / (calibration.fx * calibration.baseline)
    # Half of the disparity's error goes into the column, too, so a cone moves along its ray from the middle between the
    # cameras: dX / dd = Z / (2 fx) - X / d.
    ray = np.stack((x - disparity / (2 * calibration.fx), y, np.ones_like(x)), axis=1) * depth_sigma[:, None]
    covariance = ray[:, :, None] * ray[:, None, :]
    # A centre is the mean of 4 edges, the bottom that of 2; errors of the two images are taken as independent. Then the
    # mean of both centres does not go with their difference, so this holds for the boxes' own disparity as well.
    edge_sigma = depth * edge_sigma
    shape = _SHAPE_SIGMA_M[label] ** 2
    covariance[:, 0, 0] += (edge_sigma / calibration.fx) ** 2 / 4 + shape
    covariance[:, 1, 1] += (edge_sigma / calibration.fy) ** 2 / 2 + shape
    covariance[:, 2, 2] += shape
    return position, covariance
