# SPDX-License-Identifier: Apache-2.0
"""From boxes to cones in space: positions, covariance, faults; and the move to another frame."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from stereo_scene import CX, CY, FX, LEFT_P, RIGHT_P, SIZE, ZED_2I, boxes_at, cones_on_ground, found, paint, scene

from cone_detector.detections import Cones, Detections
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import CalibrationError, CameraModel, StereoCalibration
from cone_detector.stereo.locator import StereoLocator
from cone_detector.stereo.transform import transformed
from cone_detector.stereo.triangulation import _SHAPE_SIGMA_M, triangulate

LARGE = 1  # large_orange_cone, whose boxes are as slim as the drawn ones
DEPTHS = [3.0, 5.0, 7.0, 10.0, 15.0]


@pytest.fixture(scope="module")
def pair():
    return scene(DEPTHS)


def locate(pair, calibration=ZED_2I, **settings):
    return StereoLocator(calibration, Settings({f"stereo.{name}": value for name, value in settings.items()}))(
        *pair.detections, *pair.frames
    )


def test_cones_are_where_they_stand(pair):
    cones = locate(pair)
    assert cones.left.tolist() == cones.right.tolist() == [0, 1, 2, 3, 4]
    error = np.abs(cones.position - pair.base)
    assert (error[:, 2] / pair.base[:, 2] < [0.01, 0.01, 0.01, 0.02, 0.03]).all()
    assert error[:, :2].max() < 0.03


def test_the_true_place_lies_in_the_ellipsoid(pair):
    cones = locate(pair)
    error = cones.position - pair.base
    squared = np.einsum("ni,nij,nj->n", error, np.linalg.inv(cones.covariance), error)
    assert (squared < 16.3).all()  # chi-squared of 3 at 99.9 %


def test_refinement_is_worth_its_time(pair):
    jitter = np.random.default_rng(7).normal(0, 1.0, (2, 5, 4))
    shaken = replace(pair, detections=tuple(found(d.xyxy + j) for d, j in zip(pair.detections, jitter, strict=True)))
    refined, centres = locate(shaken), locate(shaken, refine=False)
    truth = pair.base[:, 2]
    assert np.abs(refined.position[:, 2] - truth).mean() < 0.2 * np.abs(centres.position[:, 2] - truth).mean()
    assert (refined.disparity_sigma < centres.disparity_sigma).all()


def test_right_image_that_shows_something_else_falls_back_to_the_boxes(pair):
    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    blind = replace(pair, frames=(pair.frames[0], Frame(noise)))
    cones, centres = locate(blind), locate(pair, refine=False)
    np.testing.assert_array_equal(cones.disparity, centres.disparity)
    np.testing.assert_array_equal(cones.disparity_sigma, centres.disparity_sigma)


def test_the_surer_camera_names_the_class_and_the_lower_score_holds(pair):
    left, right = (
        found(d.xyxy, label, score) for d, label, score in zip(pair.detections, (0, 4), (0.5, 0.9), strict=True)
    )
    cones = locate(replace(pair, detections=(left, right)))
    assert cones.label.tolist() == [4] * 5
    assert cones.score == pytest.approx([0.5] * 5)


def test_cones_out_of_range_are_not_located(pair):
    assert locate(pair, min_range_m=4.0, max_range_m=11.0).left.tolist() == [1, 2, 3]


def test_principal_points_may_differ(pair):
    """Some rectifications shift the right image: infinity then has a disparity."""
    moved = RIGHT_P.copy()
    moved[0, 2] += 20
    left, right = boxes_at(pair.base)
    right[:, [0, 2]] += 20
    shifted = replace(pair, detections=(found(left), found(right)), frames=(paint(left), paint(right)))
    cones = locate(shifted, StereoCalibration.from_projections(LEFT_P, moved, SIZE))
    np.testing.assert_allclose(cones.position, pair.base, rtol=0.02, atol=0.05)


def test_raw_images_give_the_same_cones_as_rectified_ones(pair):
    """Both pictures are bent by lenses like a ZED's, turned a little; boxes are drawn around the bent cones."""
    models, frames, boxes = [], [], []
    for side, (p, frame, tilt) in enumerate(zip((LEFT_P, RIGHT_P), pair.frames, (0.004, -0.006), strict=True)):
        k = np.array([[702.0, 0, 638 + 10 * side], [0, 702, 361 + 3 * side], [0, 0, 1]])
        d, r = np.array([-0.173, 0.026, 0.0, 0.0, 0.0]), cv2.Rodrigues(np.array([tilt, -tilt, tilt / 2]))[0]
        models.append(CameraModel(SIZE, p, k.ravel(), d, r.ravel()))
        grid = np.mgrid[0 : SIZE[1], 0 : SIZE[0]][::-1].reshape(2, -1).T.astype(np.float32)
        undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
        ideal = undistort(grid[:, None], k, d, R=r, P=p[:, :3], criteria=(3, 20, 1e-6)).reshape(SIZE[1], SIZE[0], 2)
        frames.append(Frame(cv2.remap(frame.pixels, ideal, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)))
        x1, y1, x2, y2 = pair.detections[side].xyxy.T - 0.5
        middles = np.stack((x1, (y1 + y2) / 2, (x1 + x2) / 2, y1, x2, (y1 + y2) / 2, (x1 + x2) / 2, y2), 1).reshape(
            -1, 2
        )
        rays = np.linalg.inv(p[:, :3]) @ np.c_[middles, np.ones(len(middles))].T
        raw = cv2.projectPoints((r.T @ rays).T, np.zeros(3), np.zeros(3), k, d)[0].reshape(-1, 4, 2)
        boxes.append(found(raw[:, [0, 1, 2, 3], [0, 1, 0, 1]] + 0.5))
    bent = replace(pair, frames=tuple(frames), detections=tuple(boxes))
    cones = locate(bent, StereoCalibration.from_cameras(*models, rectify=True))
    np.testing.assert_allclose(cones.position, locate(pair).position, rtol=0.01, atol=0.03)


def test_two_classes_on_one_cone_are_one_cone(pair):
    """Suppression of the detector's boxes is class by class, so a doubtful cone can come twice from both cameras."""
    doubled = [
        Detections(
            np.concatenate((side.xyxy, side.xyxy[2:3] + 1)),
            np.append(side.score, np.float32(0.5)),
            np.append(side.label, 3),
        )
        for side in pair.detections
    ]
    cones = locate(replace(pair, detections=tuple(doubled)))
    assert cones.left.tolist() == [0, 1, 2, 3, 4]


def test_cones_side_by_side_are_two(pair):
    left, right = boxes_at(np.array([[0.0, 1.0, 8.0], [0.23, 1.0, 8.0]]))
    cones = StereoLocator(ZED_2I, Settings())(found(left), found(right), paint(left), paint(right))
    assert len(cones) == 2


@pytest.mark.parametrize("side", [-1, 1])
def test_a_cone_cut_by_the_border_is_located_by_its_rest(side):
    """One image cuts off half of a cone at 2 m, which moves its box's centre by 20 px of the 42 px disparity."""
    edge = (CX - 2) / FX * 2.0 * side
    base = np.array([[edge + (0.12 if side < 0 else 0.0), 0.8, 2.0]])
    left, right = boxes_at(base)
    frames = paint(left, 1.5, seed=1), paint(right, 1.5, seed=2)
    cut = [found(np.clip(boxes, 0, [*SIZE, *SIZE]), LARGE) for boxes in (left, right)]
    assert abs(np.diff([boxes.xyxy[0, 2] - boxes.xyxy[0, 0] for boxes in cut])) > 35
    cones = StereoLocator(ZED_2I, Settings())(*cut, *frames)
    np.testing.assert_allclose(cones.position, base, atol=0.018)


@pytest.mark.parametrize(
    ("x", "sigma"),
    [
        (0.12, (0.0, 0.1)),  # the near cone hides a part: the rest tells the disparity
        (0.06, (1.0, 3.0)),  # it hides nearly all: the boxes are all there is, and sigma says so
    ],
)
def test_a_nearer_cone_in_front_does_not_pull_the_one_behind(x, sigma):
    left, right = boxes_at(np.array([[0.0, 1.0, 12.0], [x, 0.6, 6.0]]))
    frames = paint(left, 1.5, seed=1), paint(right, 1.5, seed=2)
    cones = StereoLocator(ZED_2I, Settings())(found(left), found(right), *frames)
    assert cones.left[0] == 0
    assert cones.position[0, 2] == pytest.approx(12.0, rel=0.02)
    assert sigma[0] < cones.disparity_sigma[0] < sigma[1]


def test_an_image_of_another_size_is_refused(pair):
    small = replace(pair, frames=(pair.frames[0], Frame(np.zeros((376, 672, 3), np.uint8))))
    with pytest.raises(CalibrationError, match="right image is 672x376"):
        locate(small)


@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1)])
def test_nothing_seen_is_no_cone(pair, empty):
    detections = tuple(Detections.empty() if side in empty else pair.detections[side] for side in (0, 1))
    cones = locate(replace(pair, detections=detections))
    assert len(cones) == 0
    assert cones.position.shape == (0, 3)
    assert cones.covariance.shape == (0, 3, 3)


def test_sigma_of_depth_follows_the_error_model():
    base = cones_on_ground([5.0, 10.0], 0.3)
    left, right = (boxes - 0.5 for boxes in boxes_at(base))
    disparity, sigma = 84 / base[:, 2], np.array([0.5, 0.5])
    boxes = left.astype(np.float32), right.astype(np.float32)
    position, covariance = triangulate(*boxes, np.zeros(2, np.int64), disparity, sigma, ZED_2I, np.zeros(2))
    np.testing.assert_allclose(position, base, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(covariance[:, 2, 2]), base[:, 2] ** 2 * 0.5 / 84, rtol=0.01)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    # The error lies along the ray through the base from the middle between the cameras.
    largest = np.linalg.eigh(covariance)[1][:, :, -1]
    ray = np.stack(((left[:, 0] + left[:, 2] - disparity) / 2 - CX, left[:, 3] - CY, np.full(2, FX)), axis=1)
    np.testing.assert_allclose(np.abs(np.einsum("ni,ni->n", largest, ray)), np.linalg.norm(ray, axis=1), rtol=1e-3)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("base", [(0.0, 1.0, 5.0), (2.0, 1.0, 5.0), (-3.0, 0.6, 10.0)])
def test_covariance_is_that_of_repeated_trials(base, refined):
    """Boxes err at each edge; a refined disparity errs by itself, that of the boxes with them."""
    rng, trials, edge = np.random.default_rng(3), 20_000, 0.2
    truth = np.tile(base, (trials, 1))
    left, right = (boxes - 0.5 + rng.normal(0, edge, boxes.shape) for boxes in boxes_at(truth))
    disparity = (left[:, 0] + left[:, 2] - right[:, 0] - right[:, 2]) / 2
    sigma = np.full(trials, 0.05 if refined else edge)
    if refined:
        disparity = 84 / truth[:, 2] + rng.normal(0, sigma)
    edges = np.full(trials, edge)
    label = np.zeros(trials, np.int64)
    boxes = left.astype(np.float32), right.astype(np.float32)
    position, covariance = triangulate(*boxes, label, disparity, sigma, ZED_2I, edges)
    claimed = np.median(covariance, axis=0) - _SHAPE_SIGMA_M[0] ** 2 * np.eye(3)
    # In the claimed ellipsoid's own axes and units, errors have variance 1 and no correlation.
    scaled = np.linalg.solve(np.linalg.cholesky(claimed), (position - truth).T)
    np.testing.assert_allclose(np.cov(scaled), np.eye(3), atol=0.1)


def test_transform_moves_and_turns(pair):
    cones = locate(pair)
    # From the optical frame to one with x forward, y left, z up, camera 1 m above it.
    turn = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    moved = transformed(cones, turn, (0.5, 0.0, 1.0))
    np.testing.assert_allclose(moved.position[:, 0], cones.position[:, 2] + 0.5)
    np.testing.assert_allclose(moved.position[:, 2], 1.0 - cones.position[:, 1])
    np.testing.assert_allclose(moved.covariance[:, 0, 0], cones.covariance[:, 2, 2])
    np.testing.assert_allclose(moved.covariance[:, 0, 1], -cones.covariance[:, 2, 0])
    back = transformed(moved, turn.T, turn.T @ [-0.5, 0.0, -1.0])
    np.testing.assert_allclose(back.position, cones.position)
    np.testing.assert_allclose(back.covariance, cones.covariance)


def test_transform_of_nothing_and_of_wrong_shapes():
    assert len(transformed(Cones.empty(), np.eye(3), np.zeros(3))) == 0
    with pytest.raises(ValueError, match=r"rotation has shape \(4, 4\)"):
        transformed(Cones.empty(), np.eye(4), np.zeros(3))
