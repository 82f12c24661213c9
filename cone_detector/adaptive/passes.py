# SPDX-License-Identifier: Apache-2.0
"""The passes that a policy may choose from, and what it decides about one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cone_detector.settings import Settings

LOW, HIGH, BAND, ZOOM = "320", "640", "band", "zoom"
SIDES = ("left", "right")

# The passes that each policy must have; "auto" takes a band where there is one. Both strips are cut from the camera
# image, finer than the canvas, a zoom more so. Before them 640 may run instead of 320.
_PASSES_OF: Mapping[str, tuple[str, ...]] = {
    "auto": (HIGH,),
    "fixed_320": (LOW,),
    "fixed_640": (HIGH,),
    "cascade": (LOW, HIGH),
    "band": (LOW, BAND),
    "zoom": (LOW, ZOOM),
    "predictive": (LOW, HIGH, BAND),
}

_STRIPS = ("band", "zoom")

# Rows of both images, each (N, 6) float32 of x1, y1, x2, y2 in canvas pixels, score, class, sorted by score.
Rows = tuple[NDArray[np.float32], NDArray[np.float32]]

NO_ROWS: NDArray[np.float32] = np.empty((0, 6), np.float32)


def passes_of(settings: Settings) -> tuple[str, ...]:
    """The passes that the settings' policy must have, in the order in which they run."""
    name = settings["policy.name"]
    first, *others = _PASSES_OF[name]
    return HIGH if name in _STRIPS and settings["policy.strip_after_640"] else first, *others


@dataclass(frozen=True)
class Step:
    """A pass to run.

    reason: why, as it is published. top: of a pass over a strip, its first canvas row in the left and right image.
    """

    name: str
    reason: str
    top: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Sight:
    """What the first pass saw.

    rows: cones that would be published. faint: detections too weak for that, (N, 6) each. cut: whether the edge of a
    strip cut cones, which are none of the rows then.
    """

    rows: Rows
    faint: Rows = (NO_ROWS, NO_ROWS)
    cut: bool = False


@dataclass(frozen=True)
class Conditions:
    """Under which a frame is looked at.

    fits: whether a pass, begun now, would end before the deadline. horizon: its canvas row in the left and right image,
    by calibration.
    """

    fits: Callable[[str], bool]
    horizon: tuple[float, float]
