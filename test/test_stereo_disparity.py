# SPDX-License-Identifier: Apache-2.0
"""Disparity below a pixel: exact on pictures with known shifts, whatever boxes, exposure and encoding."""

import cv2
import numpy as np
import pytest
from stereo_scene import BASELINE, FX, SIZE, boxes_at, cones_on_ground, paint

from cone_detector.frames import Frame, split_side_by_side, view_image
from cone_detector.stereo.disparity import DisparityRefiner


def refine(left, right, *frames):
    return DisparityRefiner(SIZE)(left.astype(np.float32), right.astype(np.float32), *frames)


DEPTHS = [2.5, 4.0, 5.3, 7.7, 10.0, 12.9, 15.0]


@pytest.fixture(scope="module")
def scene():
    base = cones_on_ground(DEPTHS)
    left, right = boxes_at(base)
    return left - 0.5, right - 0.5, paint(left, 1.5, seed=1), paint(right, 1.5, seed=2), FX * BASELINE / base[:, 2]


def jittered(boxes, seed, sigma=1.0):
    return boxes + np.random.default_rng(seed).normal(0, sigma, boxes.shape)


def errors(found, truth):
    return np.abs(found.value - truth)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_that_err_do_not_spoil_it(scene, seed):
    left, right, left_frame, right_frame, truth = scene
    found = refine(jittered(left, seed), jittered(right, seed + 50), left_frame, right_frame)
    assert errors(found, truth).max() < 0.15
    assert errors(found, truth)[truth < 12].max() < 0.08
    assert found.correlation.min() > 0.9


@pytest.mark.parametrize("shift", np.linspace(-0.5, 0.5, 9))
def test_no_pixel_locking(shift):
    """Errors that depend on the fraction of a pixel would bend space in steps; interpolation is known for it."""
    left, right = boxes_at(cones_on_ground([6.0, 10.0, 14.0], 0.4))
    right[:, [0, 2]] += shift
    found = refine(left - 0.5, right - 0.5, paint(left), paint(right))
    assert errors(found, (left - right)[:, 0]).max() < 0.03


def test_exposure_of_the_cameras_may_differ(scene):
    left, right, left_frame, _, truth = scene
    darker = paint(right + 0.5, 1.5, gain=0.7, seed=3)
    assert errors(refine(left, right, left_frame, darker), truth).max() < 0.1


def test_faint_texture_tells_as_much_in_bright_light():
    """Squares of bright greys drown small differences in float32."""
    faint = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 12, SIZE[::-1]), (0, 0), 2).round()
    left, right = boxes_at(cones_on_ground([5.0, 8.0, 12.0], 0.4))
    shifts = np.round((left - right)[:, 0]).astype(int)
    right = left - np.outer(shifts, [1, 0, 1, 0])
    found = []
    for light in (20, 230):
        frames = [np.zeros(SIZE[::-1]), np.zeros(SIZE[::-1])]
        for (x1, y1, x2, y2), shift in zip(left.round().astype(int), shifts, strict=True):
            area = np.s_[y1 - 20 : y2 + 20, x1 - 20 : x2 + 20]
            frames[0][area] = faint[area]
            frames[1][y1 - 20 : y2 + 20, x1 - 20 - shift : x2 + 20 - shift] = faint[area]
        rng = np.random.default_rng(6)
        noisy = [(frame + light + rng.integers(0, 2, frame.shape)).astype(np.uint8) for frame in frames]
        found.append(refine(left, right, *map(Frame, noisy)))
    dark, bright = found
    np.testing.assert_allclose(bright.correlation, dark.correlation, rtol=1e-3)
    np.testing.assert_allclose(bright.sigma, dark.sigma, rtol=1e-2)
    assert bright.correlation.max() < 1


def test_sigma_is_honest(scene):
    """Errors over sigma are about standard normal; twice too small or four times too large would mislead a filter."""
    left, right, _, _, truth = scene
    scores = []
    for seed in range(12):
        frames = (paint(left + 0.5, 4.0, seed=2 * seed), paint(right + 0.5, 4.0, seed=2 * seed + 1))
        found = refine(jittered(left, seed, 0.7), jittered(right, seed + 50, 0.7), *frames)
        scores.append((found.value - truth) / found.sigma)
    assert 0.25 < np.std(scores) < 1.5


@pytest.mark.parametrize("shift", [(0, 0), (0, 1.0), (0, -1.5), (0.7, -0.7), (-0.4, 0.9)])
@pytest.mark.parametrize("noise", [0, 3])
def test_a_plain_sharp_rectangle_is_no_surer_than_it_is_right(shift, noise):
    """Its edges are all that tells, the same in every row, and may lie anywhere between two columns of samples."""
    rng = np.random.default_rng(4)
    boxes, frames = [], []
    for x1, error in ((420, shift[0]), (392, shift[1])):
        grey = np.full((SIZE[1], SIZE[0]), 60.0)
        grey[400:460, x1 : x1 + 40] = 100
        grey += rng.normal(0, noise, grey.shape)
        frames.append(Frame(np.clip(np.round(grey), 0, 255).astype(np.uint8)))
        boxes.append(np.array([[x1 + error - 0.5, 399.5, x1 + error + 39.5, 459.5]]))
    found = refine(*boxes, *frames)
    assert abs(found.value[0] - 28) < 2.5 * found.sigma[0] + 0.02


def test_sigma_grows_with_noise(scene):
    left, right, *_ = scene
    quiet, loud = (
        refine(left, right, paint(left + 0.5, noise, seed=1), paint(right + 0.5, noise, seed=2))
        for noise in (1.0, 12.0)
    )
    assert (loud.sigma > 2 * quiet.sigma).all()


def test_other_things_in_the_boxes_do_not_correlate(scene):
    left, right, left_frame, _, _ = scene
    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    assert refine(left, right, left_frame, Frame(noise)).correlation.max() < 0.6


def test_a_flat_picture_gives_finite_numbers(scene):
    left, right, *_ = scene
    flat = Frame(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    found = refine(left, right, flat, flat)
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.sigma).all()
    assert found.correlation.max() < 0.1


@pytest.mark.parametrize(
    ("code", "to_bgr"),
    [
        (cv2.COLOR_BGR2RGB, cv2.COLOR_RGB2BGR),
        (cv2.COLOR_BGR2BGRA, cv2.COLOR_BGRA2BGR),
        (cv2.COLOR_BGR2GRAY, cv2.COLOR_GRAY2BGR),
    ],
)
def test_every_encoding_gives_the_same(scene, code, to_bgr):
    left, right, left_frame, right_frame, _ = scene
    bgr = refine(left, right, left_frame, right_frame)
    frames = [Frame(cv2.cvtColor(frame.pixels, code), to_bgr) for frame in (left_frame, right_frame)]
    np.testing.assert_allclose(refine(left, right, *frames).value, bgr.value, atol=0.01)


def test_halves_of_a_side_by_side_image_and_16_bit_images_are_sampled_in_place(scene):
    left, right, left_frame, right_frame, _ = scene
    whole = refine(left, right, left_frame, right_frame).value
    halves = split_side_by_side(Frame(np.hstack((left_frame.pixels, right_frame.pixels))))
    np.testing.assert_array_equal(refine(left, right, *halves).value, whole)
    deep = [
        view_image(
            (frame.pixels[..., 0].astype(np.uint16) * 256 + 255).tobytes(), width=1280, height=720, encoding="mono16"
        )
        for frame in (left_frame, right_frame)
    ]
    np.testing.assert_allclose(refine(left, right, *deep).value, whole, atol=0.01)


def test_boxes_beyond_the_border_are_no_crash(scene):
    left, right, left_frame, right_frame, _ = scene
    outside = left - 2000
    assert np.isfinite(refine(outside, right, left_frame, right_frame).value).all()


def test_a_call_does_not_depend_on_the_one_before(scene):
    left, right, left_frame, right_frame, _ = scene
    left, right = left.astype(np.float32), right.astype(np.float32)
    refiner = DisparityRefiner(SIZE)
    alone = refine(left[:2], right[:2], left_frame, right_frame)
    refiner(left, right, left_frame, right_frame)
    np.testing.assert_array_equal(refiner(left[:2], right[:2], left_frame, right_frame).value, alone.value)
    many = refiner(np.tile(left, (5, 1)), np.tile(right, (5, 1)), left_frame, right_frame)
    np.testing.assert_allclose(many.value[:2], alone.value, atol=1e-5)
