# SPDX-License-Identifier: Apache-2.0
"""From matched boxes and their disparity to the cone's base in the left optical frame, with covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.compiled import DOUBLE, FLOAT, INT, compiled, packed
from cone_detector.stereo.calibration import StereoCalibration

# From the base's centre to the near edge that a box's bottom shows: half the base, 0.228 m or 0.285 m (Formula Student
# rules, "track cones"), times 4 / pi, the mean reach of a square that may stand at any angle.
_NEAR_EDGE_M = np.array([0.1425 if name == "large_orange_cone" else 0.114 for name in CLASS_NAMES]) * 4 / np.pi

# What no image tells: how the base is turned, how the cone leans, where on its round side the contrast lies. An unknown
# cone may lie on its side.
_SHAPE_SIGMA_M = np.array([0.05 if name == "unknown_cone" else 0.012 for name in CLASS_NAMES])


def triangulate(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
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
    focal = np.array((calibration.fx, calibration.fy, calibration.focal_baseline))
    principal = np.array((calibration.cx[0], calibration.cy, calibration.principal_offset))
    return _triangulate(
        left, right, label, disparity, disparity_sigma, edge_sigma, focal, principal, _NEAR_EDGE_M, _SHAPE_SIGMA_M
    )


@compiled(*[packed(FLOAT, 2)] * 2, packed(INT, 1), *[packed(DOUBLE, 1)] * 7)
def _triangulate(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    label: NDArray[np.int64],
    disparity: NDArray[np.float64],
    disparity_sigma: NDArray[np.float64],
    edge_sigma: NDArray[np.float64],
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    near_edge: NDArray[np.float64],
    shape_sigma: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fx, fy, focal_baseline = focal
    cx, cy, offset = principal
    position, covariance = np.empty((len(left), 3)), np.zeros((len(left), 3, 3))
    for index in range(len(left)):
        a, b, d, kind = left[index], right[index], disparity[index], label[index]
        depth = focal_baseline / d
        column = (np.float64(a[0]) + a[2] + b[0] + b[2]) / 4 + (d + offset) / 2
        row = (np.float64(a[3]) + b[3]) / 2
        x, y = (column - cx) / fx, (row - cy) / fy
        position[index, 0], position[index, 1], position[index, 2] = x * depth, y * (depth - near_edge[kind]), depth
        depth_sigma = depth**2 * disparity_sigma[index] / focal_baseline
        # Half of the disparity's error goes into the column, too, so a cone moves along its ray from the middle between
        # the cameras: dX / dd = Z / (2 fx) - X / d.
        ray = ((x - d / (2 * fx)) * depth_sigma, y * depth_sigma, depth_sigma)
        for i in range(3):
            for j in range(3):
                covariance[index, i, j] = ray[i] * ray[j]
            covariance[index, i, i] += shape_sigma[kind] ** 2
        # A centre is the mean of 4 edges, the bottom that of 2; errors of the two images are taken as independent.
        # Then the mean of both centres does not go with their difference, so this holds for the boxes' own disparity.
        edge = depth * edge_sigma[index]
        covariance[index, 0, 0] += (edge / fx) ** 2 / 4
        covariance[index, 1, 1] += (edge / fy) ** 2 / 2
    return position, covariance
