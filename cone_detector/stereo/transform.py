# SPDX-License-Identifier: Apache-2.0
"""Cones in another frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from cone_detector.detections import Cones


def transformed(cones: Cones, rotation: ArrayLike, translation: ArrayLike) -> Cones:
    """The same cones in a frame where a point p of theirs is `rotation @ p + translation`.

    rotation: (3, 3), from the cones' frame to the other. translation: (3,), metres. Raises ValueError for other shapes.
    """
    turn, move = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    if turn.shape != (3, 3) or move.shape != (3,):
        raise ValueError(f"rotation has shape {turn.shape}, translation {move.shape}: must be (3, 3) and (3,)")
    return replace(cones, position=cones.position @ turn.T + move, covariance=turn @ cones.covariance @ turn.T)
