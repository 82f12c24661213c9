# SPDX-License-Identifier: Apache-2.0
"""The calibration of a stereo pair, checked: what locates cones wrongly must be refused, not published.

Terms and conventions are those of sensor_msgs/CameraInfo: K and D of the raw image, R and P of the rectified one; the
right camera's P[0, 3] is Tx = -fx * baseline. Pixel (0, 0) is the centre of the upper left pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cone_detector.stereo.rectification import Rectifier

# Both images of a rectified pair have one focal length and one principal row; what a file's rounding may change.
_FOCAL_TOLERANCE = 1e-3
_ROW_TOLERANCE_PX = 0.5
# Baselines of cameras that fit on a car. A value outside is a unit error (millimetres, or Tx without fx).
_BASELINE_RANGE_M = (0.01, 2.0)


class CalibrationError(ValueError):
    """A calibration that cannot locate cones; the message names the value and the fix."""


@dataclass(frozen=True)
class CameraModel:
    """One camera's CameraInfo.

    size: width and height in pixels, of the images that this calibration is for.
    P: 12 numbers, row by row. K, R: 9 numbers; D: any number of them; these three are read only to rectify raw images.
    distortion_model: a name of sensor_msgs/distortion_models.
    """

    size: tuple[int, int]
    P: ArrayLike
    K: ArrayLike = ()
    D: ArrayLike = ()
    R: ArrayLike = ()
    distortion_model: str = "plumb_bob"


@dataclass(frozen=True)
class StereoCalibration:
    """Geometry of a rectified stereo pair; made by `from_projections` or `from_cameras`, which check it.

    size: width and height of both images in pixels. fx, fy: focal lengths in pixels, of both cameras.
    cx: principal column of the left and of the right camera. cy: principal row. baseline: metres.
    rectifiers: left and right, where the images that come in are raw; empty where they are rectified.
    """

    size: tuple[int, int]
    fx: float
    fy: float
    cx: tuple[float, float]
    cy: float
    baseline: float
    rectifiers: Sequence[Rectifier] = field(default=(), repr=False)

    @classmethod
    def from_projections(cls, left: ArrayLike, right: ArrayLike, size: tuple[int, int]) -> StereoCalibration:
        """The calibration of rectified images. left, right: P, (3, 4) or 12 numbers. Raises CalibrationError."""
        return cls.from_cameras(CameraModel(size, left), CameraModel(size, right))

    @classmethod
    def from_cameras(cls, left: CameraModel, right: CameraModel, rectify: bool = False) -> StereoCalibration:
        """The calibration from both CameraInfo. rectify: the images are raw and K, D, R say how to rectify them.

        Raises CalibrationError.
        """
        if left.size != right.size:
            raise CalibrationError(
                f"left camera_info is for {_wxh(left.size)}, right for {_wxh(right.size)}: run both cameras at one size"
            )
        if min(left.size) <= 0:
            raise CalibrationError(
                f"camera_info is for {_wxh(left.size)} pixels: have the driver fill width and height"
            )
        left_p, right_p = _projection("left", left.P), _projection("right", right.P)
        baseline = _baseline(left_p, right_p)
        rectifiers = (_rectifier("left", left, left_p), _rectifier("right", right, right_p)) if rectify else ()
        return cls(
            left.size,
            float(left_p[0, 0]),
            float(left_p[1, 1]),
            (float(left_p[0, 2]), float(right_p[0, 2])),
            float(left_p[1, 2]),
            baseline,
            rectifiers,
        )

    def check_size(self, side: str, size: tuple[int, int]) -> None:
        """Raises CalibrationError where an image of `size` is not what the calibration is for."""
        if size != self.size:
            raise CalibrationError(
                f"{side} image is {_wxh(size)}, its camera_info is for {_wxh(self.size)}: "
                "publish images and camera_info at one resolution"
            )

    @property
    def principal_offset(self) -> float:
        """Disparity of a point at infinity, in pixels."""
        return self.cx[0] - self.cx[1]

    @property
    def focal_baseline(self) -> float:
        """Depth in metres times disparity in pixels (beyond that at infinity): Z = fx B / d."""
        return self.fx * self.baseline


def _wxh(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _numbers(side: str, name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.size != np.prod(shape):
        raise CalibrationError(
            f"{side} {name} has {array.size} numbers, must have {np.prod(shape)}: calibrate the camera"
        )
    if not np.isfinite(array).all():
        raise CalibrationError(f"{side} {name} holds {array[~np.isfinite(array)][0]}: calibrate the camera again")
    return array.reshape(shape)


def _projection(side: str, values: ArrayLike) -> NDArray[np.float64]:
    p = _numbers(side, "P", values, (3, 4))
    if not p.any():
        raise CalibrationError(
            f"{side} P is all zero, the camera is not calibrated: calibrate it, or fix camera_info_url"
        )
    if p[0, 0] <= 0 or p[1, 1] <= 0:
        raise CalibrationError(f"{side} P has fx = {p[0, 0]:g}, fy = {p[1, 1]:g}, must be positive: calibrate again")
    return p


def _baseline(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Metres between the cameras, when both P are those of one rectified pair."""
    for name, row in (("fx", 0), ("fy", 1)):
        a, b = left[row, row], right[row, row]
        if abs(a - b) > _FOCAL_TOLERANCE * a:
            raise CalibrationError(
                f"{name} of P is {a:g} left and {b:g} right, a rectified pair has one: calibrate both cameras together"
            )
    if abs(left[1, 2] - right[1, 2]) > _ROW_TOLERANCE_PX:
        raise CalibrationError(
            f"cy of P is {left[1, 2]:g} left and {right[1, 2]:g} right, a rectified pair has one: "
            "calibrate both cameras together"
        )
    tx_left, tx, ty = left[0, 3], right[0, 3], right[1, 3]
    if tx > 0 or (tx == 0 and tx_left < 0):
        name, value = ("right", tx) if tx > 0 else ("left", tx_left)
        raise CalibrationError(f"{name} P has Tx = {value:g}, left and right are swapped: swap the topics")
    if tx_left != 0:
        raise CalibrationError(f"left P has Tx = {tx_left:g}, must be 0: the left camera is the reference of a pair")
    if abs(ty) > abs(tx):
        raise CalibrationError(
            f"right P has Ty = {ty:g}: cameras above each other are not supported, mount them abreast"
        )
    baseline = -tx / right[0, 0]
    if baseline == 0:
        raise CalibrationError("right P has Tx = 0, so the baseline is 0: Tx must be -fx * baseline (metres)")
    low, high = _BASELINE_RANGE_M
    if not low <= baseline <= high:
        raise CalibrationError(
            f"right P has Tx = {tx:g}, a baseline of {baseline:g} m, outside {low:g} to {high:g} m: "
            "Tx must be -fx * baseline, in metres"
        )
    return float(baseline)


def _rectifier(side: str, camera: CameraModel, p: NDArray[np.float64]) -> Rectifier:
    k = _numbers(side, "K", camera.K, (3, 3))
    r = _numbers(side, "R", camera.R, (3, 3))
    d = _numbers(side, "D", camera.D, (np.asarray(camera.D).size,))
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        raise CalibrationError(f"{side} K has fx = {k[0, 0]:g}, fy = {k[1, 1]:g}, must be positive: calibrate again")
    if abs(np.linalg.det(r) - 1) > 1e-3 or np.abs(r @ r.T - np.eye(3)).max() > 1e-3:
        raise CalibrationError(f"{side} R is no rotation (determinant {np.linalg.det(r):g}): calibrate the pair again")
    try:
        return Rectifier(camera.size, k, d, r, p, camera.distortion_model)
    except ValueError as error:
        raise CalibrationError(f"{side} camera: {error}") from error
