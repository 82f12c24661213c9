# SPDX-License-Identifier: Apache-2.0
"""A nearer cone hides what lies behind its outline, however its box is shaped."""

import numpy as np
import pytest

from cone_detector.stereo.cone_mask import cone_weight, visible

SIZE, PATCH_WIDTH = (1280, 720), 1.25
WEIGHT = cone_weight(24, 12, PATCH_WIDTH)


def seen(left, right, disparity=10.0):
    """Share of each cone's weight that is in view."""
    boxes = np.array(left, np.float32), np.array(right, np.float32)
    weight = visible(WEIGHT, *boxes, np.full(len(left), disparity, np.float32), SIZE, PATCH_WIDTH)
    return weight.sum(axis=(1, 2)) / WEIGHT.sum()


FAR = (100, 100, 120, 125), (90, 100, 110, 125)


@pytest.mark.filterwarnings("error")
def test_a_flat_box_hides_as_a_cone_a_pixel_high_would():
    """One image's box of the nearer cone is flat; the other's tells that it is nearer."""
    flat = seen((FAR[0], (100, 110, 120, 110)), (FAR[1], (90, 110, 110, 128)))
    thin = seen((FAR[0], (100, 110, 120, 111)), (FAR[1], (90, 110, 110, 128)))
    np.testing.assert_allclose(flat, thin)
