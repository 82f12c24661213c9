# SPDX-License-Identifier: Apache-2.0
"""Raw images: points go to the rectified image and sampling points back, with OpenCV's camera model as the judge."""

import cv2
import numpy as np
import pytest
from stereo_scene import LEFT_P, SIZE

from cone_detector.stereo.rectification import Rectifier

K = np.array([[705.0, 0, 638], [0, 703, 361], [0, 0, 1]])
R = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
MODELS = {
    "plumb_bob": np.array([-0.173, 0.026, 0.0005, -0.0003, 0.0]),
    "rational_polynomial": np.array([-0.17, 0.03, 0.0004, 0.0002, 0.001, 0.01, 0.002, 0.0001]),
    "equidistant": np.array([-0.02, 0.004, -0.001, 0.0002]),
}
POINTS = np.array([[640, 360], [100, 80], [1200, 650], [300, 600], [1000, 200]], np.float32)


def raw_of(points, model):
    """Where points of the rectified image lie on the raw one: turned back, projected through the lens."""
    rays = np.linalg.inv(LEFT_P[:, :3]) @ np.c_[points, np.ones(len(points))].T
    rays = (R.T @ rays).T[:, None]
    if model == "equidistant":
        return cv2.fisheye.projectPoints(rays, np.zeros(3), np.zeros(3), K, MODELS[model])[0].reshape(-1, 2)
    return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, MODELS[model])[0].reshape(-1, 2)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def rectifier(model):
    return Rectifier(SIZE, K, MODELS[model], R, LEFT_P, model)


def test_points_are_rectified(rectifier, model):
    raw = raw_of(POINTS.astype(np.float64), model).astype(np.float32)
    np.testing.assert_allclose(rectifier.rectify(raw), POINTS, atol=0.02)


def test_sampling_points_find_the_raw_pixel(rectifier, model):
    column, row = POINTS.astype(int).T
    found = np.stack((rectifier.raw_x[row, column], rectifier.raw_y[row, column]), axis=1)
    np.testing.assert_allclose(found, raw_of(np.stack((column, row), axis=1).astype(np.float64), model), atol=0.02)


def test_a_box_keeps_its_middles(rectifier, model):
    box = np.array([[400, 300, 440, 360]], np.float32)
    middles = np.array([[400, 330], [420, 300], [440, 330], [420, 360]], np.float32)
    x1, y1, x2, y2 = rectifier.rectify_boxes(box)[0]
    points = rectifier.rectify(middles)
    assert [x1, y1, x2, y2] == pytest.approx([points[0, 0], points[1, 1], points[2, 0], points[3, 1]])


def test_no_boxes_stay_no_boxes(rectifier):
    assert rectifier.rectify_boxes(np.empty((0, 4), np.float32)).shape == (0, 4)
