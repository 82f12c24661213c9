# SPDX-License-Identifier: Apache-2.0
"""Cones that an image's border cuts off: their boxes are completed, so that both cameras' boxes mean the whole cone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.compiled import FLOAT, INT, compiled, packed, view

# A box that ends this close to the border is taken to go on beyond it.
_BORDER_PX = 2.0
# Width of a cone's box over its height, median over cones that stand turned at random.
_ASPECT = np.array([0.70 if name == "large_orange_cone" else 0.87 for name in CLASS_NAMES], np.float32)


def completed(
    xyxy: NDArray[np.float32], label: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Copies of boxes (N, 4) in pixels from the image's edge with their cut side moved out, and (N,) which were cut.

    A box cut at one side gets the width that its height tells, one cut at the bottom the height that its width tells;
    one cut at a side and at the bottom cannot tell and stays as it is. size: the image's width and height.
    Raises ValueError for a label that is none of the classes'.
    """
    return _completed(xyxy, label, *size, _ASPECT)


@compiled(view(FLOAT, 2), view(INT, 1), INT, INT, packed(FLOAT, 1))
def _completed(
    xyxy: NDArray[np.float32], label: NDArray[np.int64], width: int, height: int, aspect: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    whole, cut = np.empty(xyxy.shape, np.float32), np.empty(len(xyxy), np.bool_)
    for index in range(len(xyxy)):
        x1, y1, x2, y2 = xyxy[index]
        # Compiled code would read beyond the table.
        if not 0 <= label[index] < len(aspect):
            raise ValueError("a box has a label that is none of the classes'")
        left, right, bottom = x1 <= _BORDER_PX, x2 >= width - _BORDER_PX, y2 >= height - _BORDER_PX
        cut[index] = left or right or bottom
        wide, high = (y2 - y1) * aspect[label[index]], (x2 - x1) / aspect[label[index]]
        # A box that is wider than its height tells already is not made smaller.
        if left and not right and not bottom:
            x1 = min(x1, x2 - wide)
        elif right and not left and not bottom:
            x2 = max(x2, x1 + wide)
        elif bottom and not left and not right:
            y2 = max(y2, y1 + high)
        whole[index, 0], whole[index, 1], whole[index, 2], whole[index, 3] = x1, y1, x2, y2
    return whole, cut
