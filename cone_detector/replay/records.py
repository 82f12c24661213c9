# SPDX-License-Identifier: Apache-2.0
"""What a replay keeps of each stereo frame, whatever ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.detector import StereoResult

# Rows of `FrameRecord.cones`.
CONE_ROWS = ("left", "right", "located")


@dataclass(frozen=True)
class FrameRecord:
    """One answered pair.

    time_s: when its answer came, from the start of the replay. age_ms: from the camera's stamp to the answer; NaN where
    there is no camera. stages_ms: see `latency.STAGES`. passes: names of those that ran. reason: of the last one.
    cones: (3, classes) int64, cones of each class in the left image, in the right one, and located in space.
    """

    time_s: float
    age_ms: float
    stages_ms: Mapping[str, float]
    passes: tuple[str, ...]
    reason: str
    cones: NDArray[np.int64]


@dataclass
class Recording:
    """A whole replay. sent: pairs given to the detector; those that are not among `frames` were dropped.

    arrivals_s: when the answers came. notes: what a reader of the figures should know.
    """

    mode: str
    bag: str
    rate_hz: float
    engine: str
    settings: Mapping[str, bool | int | float | str]
    sent: int = 0
    seconds: float = 0.0
    frames: list[FrameRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        return self.sent - len(self.frames)


def engine_text(model: str, precision: str, runtime: str, device: str) -> str:
    """One line that names an engine and where it runs."""
    return f"{model} {precision}, {runtime} on {device}"


def count_cones(*labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(labels), classes) int64: how often each class is in each array of labels."""
    return np.array([np.bincount(one, minlength=len(CLASS_NAMES)) for one in labels])


def record_of(result: StereoResult, time_s: float, age_ms: float) -> FrameRecord:
    """The record of what the core returned."""
    left, right = result.detections
    located = np.empty(0, np.int64) if result.cones is None else result.cones.label
    last = result.steps[-1]
    return FrameRecord(
        time_s,
        age_ms,
        dict(result.ms),
        tuple(step.name for step in result.steps),
        last.reason,
        count_cones(left.label, right.label, located),
    )
