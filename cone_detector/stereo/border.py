# SPDX-License-Identifier: Apache-2.0
"""Cones that an image's border cuts off: their boxes are completed, so that both cameras' boxes mean the whole cone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES

# A box that ends this close to the border is taken to go on beyond it.
_BORDER_PX = 2.0
# Width of a cone's box over its height, median over cones that stand turned at random.
_ASPECT = np.array([0.70 if name == "large_orange_cone" else 0.87 for name in CLASS_NAMES], np.float32)


def completed(
    xyxy: NDArray[np.float32], label: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes (N, 4) in pixels from the image's edge with their cut side moved out, and (N,) which were cut.

    A box cut at one side gets the width that its height tells, one cut at the bottom the height that its width tells;
    one cut at a side and at the bottom cannot tell and stays as it is. size: the image's width and height.
    """
    x1, y1, x2, y2 = xyxy.T
    left, right, bottom = x1 <= _BORDER_PX, x2 >= size[0] - _BORDER_PX, y2 >= size[1] - _BORDER_PX
    cut = left | right | bottom
    if not cut.any():
        return xyxy, cut
    width, height = (y2 - y1) * _ASPECT[label], (x2 - x1) / _ASPECT[label]
    whole = xyxy.copy()
    # A box that is wider than its height tells already is not made smaller.
    np.minimum(x1, x2 - width, out=whole[:, 0], where=left & ~right & ~bottom)
    np.maximum(x2, x1 + width, out=whole[:, 2], where=right & ~left & ~bottom)
    np.maximum(y2, y1 + height, out=whole[:, 3], where=bottom & ~left & ~right)
    return whole, cut
