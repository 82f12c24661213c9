# SPDX-License-Identifier: Apache-2.0
"""Boxes of one cone are paired, each at most once, and the best for all together; the rest stay 2D."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stereo_scene import ZED_2I, boxes_at, cones_on_ground, found

from cone_detector.detections import Detections
from cone_detector.stereo.matching import Gates, match, pair_costs

BLUE, LARGE, ORANGE, UNKNOWN, YELLOW = range(5)
GATES = Gates(row=6.0, disparity=(84 / 30, 84 / 0.5), box_sigma=1.5)


def pairs(left, right, gates=GATES):
    rows, columns = match(left, right, ZED_2I, gates)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def moved(boxes, right, down):
    return boxes + np.array([right, down, right, down])


def box(x, y, width, height, label=BLUE):
    return np.array([[x, y, x + width, y + height]], np.float64), label


@given(st.randoms(use_true_random=False), st.lists(st.floats(1.5, 20), min_size=1, max_size=12))
def test_the_order_of_boxes_does_not_matter(random, depths):
    left, right = boxes_at(cones_on_ground(depths))
    shuffled = list(range(len(left)))
    random.shuffle(shuffled)
    expected = [(old, new) for old, new in sorted((old, new) for new, old in enumerate(shuffled))]
    assert pairs(found(left), found(right[shuffled])) == expected


def test_a_cone_that_one_camera_misses_stays_unmatched():
    left, right = boxes_at(cones_on_ground([4, 6, 9, 12]))
    assert pairs(found(left), found(np.delete(right, 1, axis=0))) == [(0, 0), (2, 1), (3, 2)]


def test_a_row_of_alike_cones_is_not_shifted_by_one():
    # Cones side by side at one depth: each right box lies near the left box of the neighbour, too.
    base = np.array([[0.12 * n, 1.0, 8.0] for n in range(6)])
    left, right = boxes_at(base)
    assert pairs(found(left), found(right)) == [(n, n) for n in range(6)]


def test_the_best_sum_wins_over_the_best_first_pair():
    # The left box 0 fits both right boxes, the second one slightly better; the left box 1 fits the second one only.
    left, right = boxes_at(cones_on_ground([8.0], 0))
    both = np.concatenate((left, moved(left, 0, 3)))
    others = np.concatenate((moved(right, 0, -3), moved(right, 0, 0.5)))
    assert pairs(found(both), found(others)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("why", "left", "right"),
    [
        ("other row", box(600, 400, 16, 23), box(590, 420, 16, 23)),
        ("other size", box(600, 400, 32, 46), box(580, 412, 16, 23)),
        ("nearer than the range", box(600, 400, 16, 23), box(400, 400, 16, 23)),
        ("farther than the range", box(600, 400, 5, 7), box(601, 400, 5, 7)),
        ("right of the left image's", box(600, 400, 16, 23), box(612, 400, 16, 23)),
        ("too small for its disparity", box(600, 400, 5, 7), box(550, 400, 5, 7)),
    ],
)
def test_gates(why, left, right):
    assert pairs(found(*left), found(*right)) == [], why


@pytest.mark.parametrize(
    ("left", "right", "matched"),
    [
        (BLUE, BLUE, True),
        (BLUE, UNKNOWN, True),  # a doubtful class is no reason to lose the cone
        (BLUE, YELLOW, True),  # nor is a wrong one, when the boxes agree
    ],
)
def test_boxes_that_agree_match_whatever_their_class(left, right, matched):
    boxes = boxes_at(cones_on_ground([7.0], 0))
    assert bool(pairs(found(boxes[0], left), found(boxes[1], right))) is matched


def test_class_decides_between_boxes_that_fit_alike():
    left, right = boxes_at(np.array([[0.0, 1.0, 7.0]]))
    candidates = np.concatenate((moved(right, -1, 0), moved(right, 1, 0)))
    for label, column in ((BLUE, 0), (YELLOW, 1)):
        assert pairs(found(left, label), found(candidates, np.array([BLUE, YELLOW]))) == [(0, column)]


def test_a_large_cone_may_be_as_near_as_its_height_says():
    # 505 mm high: at 10 m its box is that of a small cone at 6.4 m.
    large = box(600, 400, 20, 35.35, LARGE)
    shifted = (moved(large[0], -8.4, 0), LARGE)
    small = (shifted[0], BLUE)
    costs = [
        pair_costs(found(large[0], label), found(shifted[0], label), ZED_2I, GATES)[0, 0] for label in (LARGE, BLUE)
    ]
    assert costs[0] < 0.1 < costs[1]
    assert pairs(found(*large), found(*small)) == [(0, 0)]


@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(left, right):
    boxes = boxes_at(cones_on_ground([5, 6, 7]))
    rows, columns = match(found(boxes[0][:left]), found(boxes[1][:right]), ZED_2I, GATES)
    assert len(rows) == len(columns) == 0
    assert match(Detections.empty(), Detections.empty(), ZED_2I, GATES)[0].dtype == rows.dtype


@given(
    st.lists(st.tuples(st.floats(0, 1200), st.floats(0, 600), st.floats(1, 80), st.floats(1, 120)), max_size=8),
    st.lists(st.tuples(st.floats(0, 1200), st.floats(0, 600), st.floats(1, 80), st.floats(1, 120)), max_size=8),
)
def test_each_box_is_used_once(first, second):
    sides = []
    for rows in (first, second):
        x, y, width, height = np.array(rows, np.float64).reshape(-1, 4).T
        sides.append(found(np.stack((x, y, x + width, y + height), axis=1)))
    matched = pairs(*sides)
    assert len({row for row, _ in matched}) == len({column for _, column in matched}) == len(matched)
