# SPDX-License-Identifier: Apache-2.0
"""Boxes that the image's border cuts are completed by what the rest tells, and no others are touched."""

import numpy as np
import pytest

from cone_detector.stereo.border import completed

BLUE, LARGE = 0, 1
SIZE = (1280, 720)


@pytest.mark.parametrize(
    ("why", "box", "label", "whole", "cut"),
    [
        ("in full view", (600, 400, 640, 450), BLUE, (600, 400, 640, 450), False),
        ("cut at the left", (0, 400, 40, 500), BLUE, (-47, 400, 40, 500), True),
        ("cut at the right", (1240, 400, 1280, 500), BLUE, (1240, 400, 1327, 500), True),
        ("a large cone is slimmer", (1240, 400, 1279, 500), LARGE, (1240, 400, 1310, 500), True),
        ("cut at the bottom", (600, 650, 687, 719), BLUE, (600, 650, 687, 750), True),
        ("two sides cut: nothing tells how far", (0, 660, 40, 720), BLUE, (0, 660, 40, 720), True),
        ("ends at the border but is wide enough", (0, 400, 95, 500), BLUE, (0, 400, 95, 500), True),
    ],
)
def test_completed(why, box, label, whole, cut):
    xyxy, flags = completed(np.array([box], np.float32), np.array([label]), SIZE)
    np.testing.assert_allclose(xyxy, [whole], atol=0.01, err_msg=why)
    assert flags.tolist() == [cut]


def test_the_callers_boxes_stay_as_they_were():
    xyxy = np.array([[0, 400, 40, 500]], np.float32)
    completed(xyxy, np.array([BLUE]), SIZE)
    assert xyxy.tolist() == [[0, 400, 40, 500]]


def test_no_boxes():
    xyxy, flags = completed(np.empty((0, 4), np.float32), np.empty(0, np.int64), SIZE)
    assert (xyxy.shape, flags.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_of_no_class_is_refused(label):
    with pytest.raises(ValueError, match="none of the classes'"):
        completed(np.array([[0, 0, 9, 9]], np.float32), np.array([label]), SIZE)
