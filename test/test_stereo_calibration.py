# SPDX-License-Identifier: Apache-2.0
"""A calibration that would put cones in the wrong place is refused, with the value and the fix."""

import numpy as np
import pytest
from stereo_scene import BASELINE, FX, LEFT_P, RIGHT_P, SIZE, ZED_2I

from cone_detector.stereo.calibration import CalibrationError, CameraModel, StereoCalibration

K = (700, 0, 640, 0, 700, 360, 0, 0, 1)
EYE = (1, 0, 0, 0, 1, 0, 0, 0, 1)
NO_DISTORTION = (0.0,) * 5


def changed(p, *entries):
    p = p.copy()
    for row, column, value in entries:
        p[row, column] = value
    return p


def raw_camera(p, **changes):
    return CameraModel(**{"size": SIZE, "P": p, "K": K, "D": NO_DISTORTION, "R": EYE, **changes})


def test_a_good_pair_gives_its_geometry():
    assert (ZED_2I.fx, ZED_2I.cx, ZED_2I.cy, ZED_2I.baseline) == (FX, (640.0, 640.0), 360.0, BASELINE)
    assert ZED_2I.focal_baseline / 8.4 == pytest.approx(10.0)


def test_camera_info_gives_p_as_twelve_numbers():
    assert StereoCalibration.from_projections(LEFT_P.ravel(), list(RIGHT_P.ravel()), SIZE) == ZED_2I


@pytest.mark.parametrize(
    ("left", "right", "size", "message"),
    [
        (LEFT_P, LEFT_P, SIZE, r"Tx = 0, so the baseline is 0.*-fx \* baseline"),
        (RIGHT_P, LEFT_P, SIZE, r"left P has Tx = -84, left and right are swapped: swap the topics"),
        (LEFT_P, changed(RIGHT_P, (0, 3, 84)), SIZE, "right P has Tx = 84, left and right are swapped"),
        (changed(LEFT_P, (0, 3, -10)), RIGHT_P, SIZE, "left P has Tx = -10, must be 0"),
        (changed(LEFT_P, (0, 2, np.nan)), RIGHT_P, SIZE, "left P holds nan: calibrate"),
        (LEFT_P, changed(RIGHT_P, (0, 3, -np.inf)), SIZE, "right P holds -inf: calibrate"),
        (LEFT_P, changed(RIGHT_P, (0, 0, 690)), SIZE, "fx of P is 700 left and 690 right"),
        (LEFT_P, changed(RIGHT_P, (1, 1, 690)), SIZE, "fy of P is 700 left and 690 right"),
        (LEFT_P, changed(RIGHT_P, (1, 2, 365)), SIZE, "cy of P is 360 left and 365 right"),
        (LEFT_P, changed(RIGHT_P, (0, 3, -84_000)), SIZE, "baseline of 120 m.*in metres"),
        (LEFT_P, changed(RIGHT_P, (0, 3, -0.12)), SIZE, r"baseline of 0.000171429 m.*Tx must be -fx \* baseline"),
        (LEFT_P, changed(RIGHT_P, (0, 3, -1), (1, 3, -84)), SIZE, "Ty = -84.*mount them abreast"),
        (LEFT_P, np.zeros((3, 4)), SIZE, "right P is all zero, the camera is not calibrated"),
        (changed(LEFT_P, (0, 0, -700)), RIGHT_P, SIZE, "left P has fx = -700.*must be positive"),
        (LEFT_P[:, :3], RIGHT_P, SIZE, "left P has 9 numbers, must have 12"),
        (LEFT_P, RIGHT_P, (0, 0), "for 0x0 pixels: have the driver fill"),
    ],
)
def test_a_wrong_pair_is_refused(left, right, size, message):
    with pytest.raises(CalibrationError, match=message):
        StereoCalibration.from_projections(left, right, size)


def test_cameras_of_different_size_are_refused():
    with pytest.raises(CalibrationError, match="left camera_info is for 1280x720, right for 672x376"):
        StereoCalibration.from_cameras(CameraModel(SIZE, LEFT_P), CameraModel((672, 376), RIGHT_P))


def test_an_image_of_another_resolution_is_refused():
    with pytest.raises(CalibrationError, match="right image is 672x376, its camera_info is for 1280x720"):
        ZED_2I.check_size("right", (672, 376))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distortion_model": "thin_prism"}, "left camera: distortion model 'thin_prism' is not supported.*plumb_bob"),
        ({"D": (0.1, 0.2)}, "D has 2 numbers, distortion model 'plumb_bob' takes one of 0, 4, 5"),
        ({"D": (np.nan,) * 5}, "left D holds nan"),
        ({"K": (0,) * 9}, "left K has fx = 0"),
        ({"R": (0,) * 9}, "left R is no rotation"),
        ({"R": ()}, "left R has 0 numbers, must have 9"),
    ],
)
def test_raw_images_need_a_whole_camera_model(changes, message):
    with pytest.raises(CalibrationError, match=message):
        StereoCalibration.from_cameras(raw_camera(LEFT_P, **changes), raw_camera(RIGHT_P), rectify=True)


def test_rectified_images_need_p_alone():
    broken = CameraModel(SIZE, LEFT_P, K=(0,) * 9, D=(9, 9), R=(0,) * 9, distortion_model="?")
    assert StereoCalibration.from_cameras(broken, CameraModel(SIZE, RIGHT_P)) == ZED_2I
