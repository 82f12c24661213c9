# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from cone_detector.classes import CLASS_COLOURS_BGR
from cone_detector.detections import Cones, Detections
from cone_detector.draw import birds_eye, contact_sheet, draw_detections, side_by_side

GREY = 90


def image(width=640, height=360):
    return np.full((height, width, 3), GREY, np.uint8)


def detections(*boxes, label=4):
    n = len(boxes)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(n, 0.9, np.float32), np.full(n, label))


def cones_at(*positions, left, right):
    n = len(positions)
    return Cones(
        np.array(positions, float).reshape(-1, 3),
        np.tile(np.eye(3) * 0.01, (n, 1, 1)),
        np.full(n, 0.9, np.float32),
        np.full(n, 4),
        np.ones(n),
        np.ones(n),
        np.array(left, np.int64),
        np.array(right, np.int64),
    )


def test_the_image_given_stays_as_it_was():
    original = image()
    draw_detections(original, detections((100, 100, 140, 180)))
    assert (original == GREY).all()


@pytest.mark.parametrize("label", range(5))
def test_a_box_has_the_colour_of_its_class(label):
    drawn = draw_detections(image(), detections((100, 100, 140, 180), label=label))
    assert tuple(drawn[140, 100]) == CLASS_COLOURS_BGR[label]
    assert tuple(drawn[140, 120]) == (GREY,) * 3, "inside of the box is hidden"


@pytest.mark.parametrize(
    "box",
    [(0, 0, 20, 20), (620, 340, 640, 360), (-5, -5, 650, 370), (300, 350, 300, 350)],
    ids=["upper left corner", "lower right corner", "larger than the image", "without area"],
)
def test_boxes_at_the_border_are_drawn_without_a_fault(box):
    assert (draw_detections(image(), detections(box)) != GREY).any()


def test_nothing_found_leaves_the_image():
    assert (draw_detections(image(), Detections.empty(), Cones.empty()) == GREY).all()


def test_distance_appears_at_the_box_of_each_side_that_shows_the_cone():
    found = detections((50, 200, 70, 240), (400, 200, 420, 240))
    cones = cones_at((0, 0.5, 4.0), left=[0], right=[1])
    plain = draw_detections(image(), found)
    for side, (near, far) in enumerate([(slice(0, 300), slice(300, 640)), (slice(300, 640), slice(0, 300))]):
        drawn = draw_detections(image(), found, cones, side)
        assert (drawn[:, near] != plain[:, near]).any()
        assert (drawn[:, far] == plain[:, far]).all()


def test_labels_of_cones_close_together_do_not_cover_each_other():
    row = [(100 + 22 * i, 150, 120 + 22 * i, 190) for i in range(4)]
    drawn = draw_detections(image(), detections(*row))
    outside = drawn.copy()
    for x1, y1, x2, y2 in row:
        outside[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4] = GREY
    yellow = (outside == CLASS_COLOURS_BGR[4]).all(axis=2)
    alone = (draw_detections(image(), detections(row[0])) == CLASS_COLOURS_BGR[4]).all(axis=2)
    alone[146:194, 96:124] = False
    assert yellow.sum() > 3.5 * alone.sum()


def test_side_by_side_scales_the_right_image_to_the_left_one():
    assert side_by_side(image(640, 360), image(1280, 720)).shape == (360, 1280, 3)


@pytest.mark.parametrize("position", [(0, 0, 10), (-4, 0, 10), (4, 0, 5)])
def test_a_cone_is_seen_from_above_where_it_stands(position):
    def place(where):
        picture = birds_eye(cones_at(where, left=[0], right=[0]), (540, 720), max_range_m=20)
        return [axis.mean() for axis in np.nonzero((picture == CLASS_COLOURS_BGR[4]).all(axis=2))]

    # Pixels a metre, up and to the right, from two cones whose places are not under test.
    (row_0, column_0), (row_1, column_1) = place((0, 0, 4)), place((2, 0, 6))
    row, column = place(position)
    assert column_1 - column_0 == pytest.approx(row_0 - row_1, abs=1.5), "one scale for both axes"
    assert row == pytest.approx(row_0 - (position[2] - 4) * (row_0 - row_1) / 2, abs=3)
    assert column == pytest.approx(column_0 + position[0] * (column_1 - column_0) / 2, abs=3)


def test_cones_beyond_the_range_are_left_out():
    empty = birds_eye(Cones.empty())
    assert (birds_eye(cones_at((0, 0, 50), (40, 0, 10), (0, 0, -1), left=[0] * 3, right=[0] * 3)) == empty).all()


def test_a_covariance_that_is_not_known_draws_no_ellipse():
    cones = cones_at((0, 0, 10), left=[0], right=[0])
    cones.covariance[:] = np.nan
    assert birds_eye(cones).shape == (720, 540, 3)


def test_contact_sheet_fills_rows():
    assert contact_sheet([image()] * 3, columns=2, width=320).shape == (2 * 180 + 4, 2 * 320 + 4, 3)


def test_contact_sheet_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
