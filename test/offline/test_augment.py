# SPDX-License-Identifier: AGPL-3.0-only
"""Frames vary as cameras do, and a cone keeps the colour that says which side of the track it stands on."""

import cv2
import numpy as np
import pytest
from pictures import picture

from offline_tools.augment import camera_effects

# BGR colours of cones in daylight, and how far their hue may turn, in degrees: orange and yellow lie 30 apart,
# and nothing is near blue.
CONES = {"blue": ((160, 80, 20), 25), "yellow": ((20, 190, 220), 15), "orange": ((30, 100, 225), 15)}


def hue(image):
    """The median hue in degrees."""
    return float(np.median(cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[..., 0])) * 2


@pytest.mark.parametrize(("colour", "limit"), CONES.values(), ids=CONES.keys())
def test_hue_stays_within_its_cone(colour, limit):
    image = np.full((96, 160, 3), colour, np.uint8)
    turned = []
    for seed in range(150):
        out = camera_effects(image, np.random.default_rng(seed))
        strength = np.ptp(out.reshape(-1, 3).mean(0))
        if strength > 40:  # glare and night leave no colour to tell
            turned.append(abs((hue(out) - hue(image) + 180) % 360 - 180))
    assert len(turned) > 75
    assert np.percentile(turned, 95) < limit


def test_the_frame_keeps_its_size_and_the_original_its_pixels():
    image = picture(1, (640, 384))
    before = image.copy()
    for seed in range(40):
        out = camera_effects(image, np.random.default_rng(seed))
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


def test_the_same_draw_gives_the_same_frame():
    one, other = (camera_effects(picture(2), np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
