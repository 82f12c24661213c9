# SPDX-License-Identifier: Apache-2.0
"""Where the far cones are: a strip of the canvas below the horizon.

On flat ground a cone's base lies below the horizon by its box height times camera height over cone height. So each cone
that is seen says where the horizon is, and the far ones, small boxes just below it, are looked for there. On the shared
onboard frames this holds 99.8 % of the cones under 22 px in a strip of 96 rows (`docs/adaptive.md`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.passes import Rows
from cone_detector.classes import CLASS_NAMES

# Formula Student rules: 325 mm for a small cone, 505 mm for a large orange one.
_CONE_HEIGHT_M = np.full(len(CLASS_NAMES), 0.325, np.float32)
_CONE_HEIGHT_M[CLASS_NAMES.index("large_orange_cone")] = 0.505
# The strip is centred on the base of a cone so high, in canvas pixels: half of those that 320 loses are smaller.
_CENTRE_BOX_PX = 13.0
# Cones of the frame before count less: the car has pitched since.
_EARLIER_WEIGHT = np.float32(0.3)
# Strips start at multiples of this, as the coarsest features of a network that sees the whole canvas do.
_STEP_PX = 8
# Focal length over image height of a ZED 2i at 720p, where no calibration says better.
NOMINAL_FOCAL_SHARE = 700 / 720


def horizon_share(cy: float, fy: float, pitch_deg: float) -> float:
    """The horizon's row. It, cy and fy are shares of the image's height. pitch_deg: how far the camera looks down."""
    return cy - fy * math.tan(math.radians(pitch_deg))


class BandPlacer:
    """Places the strips of both cameras, each by its own cones.

    height: rows of the strip. canvas_height: of the canvas. camera_height_m: above the ground.
    """

    def __init__(self, height: int, canvas_height: int, camera_height_m: float) -> None:
        self._height = height
        self._last_top = (canvas_height - height) // _STEP_PX * _STEP_PX
        # Base row minus so many box heights is the horizon, by class.
        self._drop = camera_height_m / _CONE_HEIGHT_M
        self._centre = camera_height_m / 0.325 * _CENTRE_BOX_PX

    def tops(self, rows: Rows, earlier: Rows, horizon: tuple[float, float]) -> tuple[int, int]:
        """First canvas rows of the strips in the left and right image.

        rows, earlier: cones of this frame so far and of the frame before. horizon: canvas rows of the horizon where no
        cone says better.
        """
        return self._top(rows[0], earlier[0], horizon[0]), self._top(rows[1], earlier[1], horizon[1])

    def _top(self, rows: NDArray[np.float32], earlier: NDArray[np.float32], horizon: float) -> int:
        if len(rows) or len(earlier):
            horizon = self._horizon(rows, earlier)
        top = round((horizon + self._centre - self._height / 2) / _STEP_PX) * _STEP_PX
        return min(max(top, 0), self._last_top)

    def _horizon(self, rows: NDArray[np.float32], earlier: NDArray[np.float32]) -> float:
        """The weighted median of what the cones say; an error in a box's height counts by the height."""
        seen = np.concatenate((rows, earlier))
        heights = np.maximum(seen[:, 3] - seen[:, 1], 1.0)
        votes = seen[:, 3] - self._drop[seen[:, 5].astype(np.intp)] * heights
        weights = 1.0 / heights
        weights[len(rows) :] *= _EARLIER_WEIGHT
        order = votes.argsort()
        total = weights[order].cumsum()
        return float(votes[order[np.searchsorted(total, total[-1] / 2)]])
