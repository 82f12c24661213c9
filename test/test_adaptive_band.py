# SPDX-License-Identifier: Apache-2.0
"""The strip lies where far cones are; two passes give each cone once."""

import numpy as np
import pytest
from doubles import rows_of

from cone_detector.adaptive import NO_ROWS, merge
from cone_detector.adaptive.band import BandPlacer, horizon_share

STRIP, CANVAS = 96, 384
BLUE, LARGE_ORANGE = 0, 1


def rows(*cones) -> np.ndarray:
    return rows_of(*cones)[: len(cones)]


def on_ground(horizon: float, *heights: float, label: int = BLUE, cone_m: float = 0.325, camera_m: float = 1.0):
    """Boxes of cones on flat ground, seen by a camera `camera_m` high with its horizon at that canvas row."""
    boxes = []
    for i, h in enumerate(heights):
        base = horizon + h * camera_m / cone_m
        boxes.append((30 * i + 10, base - h, 30 * i + 20, base, 0.9, label))
    return rows(*boxes)


def place(left, right=NO_ROWS, earlier=NO_ROWS, horizon=(192.0, 192.0), camera_m=1.0) -> tuple[int, int]:
    return BandPlacer(STRIP, CANVAS, camera_m).tops((left, right), (earlier, earlier), horizon)


@pytest.mark.parametrize("horizon", [60.0, 130.0, 200.0, 250.0])
@pytest.mark.parametrize("seen", [(40.0,), (24.0, 60.0), (18.0, 25.0, 90.0)])
@pytest.mark.parametrize("camera_m", [0.7, 1.0])
def test_cones_that_320_sees_tell_where_those_are_that_it_does_not(horizon, seen, camera_m):
    top, _ = place(on_ground(horizon, *seen, camera_m=camera_m), camera_m=camera_m)
    far = on_ground(horizon, 6.0, 10.0, 16.0, camera_m=camera_m)
    assert top <= far[:, 1].min()
    assert top + STRIP >= far[:, 3].max()


def test_each_eye_is_placed_by_its_own_cones():
    left, right = place(on_ground(100, 20), on_ground(180, 20))
    assert right - left == pytest.approx(80, abs=8)


def test_large_orange_cones_are_no_nearer_than_their_size_says():
    small = place(on_ground(150, 30))[0]
    assert place(on_ground(150, 45, label=LARGE_ORANGE, cone_m=0.505))[0] == pytest.approx(small, abs=8)


def test_one_wrong_box_does_not_move_the_strip():
    """A tall false detection in the sky, or on the own car, is outvoted."""
    cones = on_ground(150, 18, 22, 30)
    wrong = rows((0, 0, 60, 200, 0.9, BLUE))
    assert place(np.concatenate((cones, wrong)))[0] == pytest.approx(place(cones)[0], abs=8)


def test_cones_of_the_frame_before_serve_where_this_one_has_none_and_then_the_calibration():
    cones = on_ground(120, 12, 20)
    assert place(NO_ROWS, earlier=cones) == place(cones, cones)
    low, high = place(NO_ROWS, horizon=(100.0, 200.0))
    assert high - low == pytest.approx(100, abs=8)


@pytest.mark.parametrize("horizon", [-500.0, 900.0])
def test_the_strip_stays_on_the_canvas(horizon):
    assert 0 <= place(NO_ROWS, horizon=(horizon, horizon))[0] <= CANVAS - STRIP


def test_the_horizon_follows_principal_row_and_pitch():
    assert horizon_share(0.5, 1.0, 0.0) == 0.5
    assert horizon_share(0.5, 1.0, 45.0) == pytest.approx(-0.5)  # looking down raises the horizon in the image


TOP = 100
NEAR = (100, 150, 160, 260, 0.95, BLUE)  # 320's box of a near cone, beyond the strip's lower edge at 196
NEAR_CUT = (100, 150, 160, 195.5, 0.60, BLUE)  # what the strip shows of it
SMALL = (300, 130, 312, 148, 0.60, BLUE)  # 320's rough box of a far cone
SMALL_CLOSER = (301, 131, 312, 149, 0.85, BLUE)  # the strip's better one
BESIDE = (318, 131, 329, 149, 0.80, BLUE)  # its neighbour, which 320 lost
YELLOW_INSTEAD = (301, 131, 312, 149, 0.85, 4)


@pytest.mark.parametrize(
    ("whole", "strip", "expected"),
    [
        ((), (), ()),
        ((NEAR,), (), (NEAR,)),
        ((), (SMALL_CLOSER,), (SMALL_CLOSER,)),
        ((SMALL,), (SMALL_CLOSER,), (SMALL_CLOSER,)),  # no double: the closer look holds
        ((SMALL,), (SMALL_CLOSER, BESIDE), (SMALL_CLOSER, BESIDE)),  # neighbours are no doubles
        ((SMALL,), (YELLOW_INSTEAD,), (YELLOW_INSTEAD,)),  # of its class too
        ((NEAR,), (NEAR_CUT,), (NEAR,)),  # a box cut by the strip's edge gives way to the whole one
        ((), (NEAR_CUT,), ()),  # and is no cone's box without it
        ((NEAR, SMALL), (NEAR_CUT, SMALL_CLOSER), (NEAR, SMALL_CLOSER)),
        ((SMALL,), (BESIDE,), (BESIDE, SMALL)),  # sorted by score
    ],
)
def test_each_cone_of_two_passes_comes_once(whole, strip, expected):
    merged = merge((rows(*whole), NO_ROWS), (rows(*strip), NO_ROWS), (TOP, TOP), STRIP, CANVAS)
    np.testing.assert_allclose(merged[0], rows(*expected))
    assert len(merged[1]) == 0


@pytest.mark.parametrize(
    ("top", "box", "kept"),
    [
        (0, (10, 0, 30, 40), True),  # the canvas ends here, the strip cuts nothing
        (8, (10, 8, 30, 40), False),
        (288, (10, 350, 30, 384), True),
        (280, (10, 350, 30, 376), False),
    ],
)
def test_the_edge_of_the_canvas_cuts_no_box(top, box, kept):
    merged, _ = merge((NO_ROWS, NO_ROWS), (rows((*box, 0.9, 0)), NO_ROWS), (top, 0), STRIP, CANVAS)
    assert len(merged) == kept


def test_the_eyes_are_merged_apart():
    left, right = merge((rows(SMALL), NO_ROWS), (NO_ROWS, rows(SMALL_CLOSER)), (TOP, TOP), STRIP, CANVAS)
    np.testing.assert_allclose(left, rows(SMALL))
    np.testing.assert_allclose(right, rows(SMALL_CLOSER))
