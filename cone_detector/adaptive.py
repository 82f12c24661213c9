# SPDX-License-Identifier: Apache-2.0
"""Which passes run on a frame, and why: a cheap one first, a dear one only when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cone_detector.settings import Settings

LOW, HIGH = "320", "640"
SIDES = ("left", "right")


@dataclass(frozen=True)
class Step:
    """A pass to run. reason: why, as it is published."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What the first pass saw. rows: per image, (N, 6) kept rows in canvas pixels.

    elapsed_ms: since the pair was complete. next_pass_ms: what a second pass is expected to take.
    """

    rows: tuple[NDArray[np.float32], NDArray[np.float32]]
    elapsed_ms: float
    next_pass_ms: float


class Policy(Protocol):
    """Decides pass by pass; keeps what it must remember from frame to frame."""

    def first(self) -> Step:
        """The pass that every frame begins with."""

    def second(self, evidence: Evidence) -> Step | None:
        """A further pass over the same canvas, or None."""


class Fixed:
    """One pass, always the same."""

    def __init__(self, name: str) -> None:
        self._step = Step(name, "fixed")

    def first(self) -> Step:
        return self._step

    def second(self, evidence: Evidence) -> Step | None:
        return None


class Cascade:
    """320 first; 640 where an image is doubtful, with hysteresis, a periodic refresh and a deadline."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first = Step(LOW, "cascade")
        self._since_high = 0
        self._escalating = False

    def first(self) -> Step:
        return self._first

    def second(self, evidence: Evidence) -> Step | None:
        doubt = self._doubt(evidence.rows)
        self._escalating = doubt is not None
        refresh = self._settings["policy.refresh_frames"]
        if doubt is None and refresh and self._since_high + 1 >= refresh:
            doubt = "refresh"
        deadline = self._settings["policy.deadline_ms"]
        if doubt is None or (deadline and evidence.elapsed_ms + evidence.next_pass_ms > deadline):
            self._since_high += 1
            return None
        self._since_high = 0
        return Step(HIGH, doubt)

    def _doubt(self, rows: tuple[NDArray[np.float32], NDArray[np.float32]]) -> str | None:
        settings = self._settings
        counts = [len(side) for side in rows]
        if settings["policy.when_empty"] and min(counts) == 0:
            return f"nothing seen {SIDES[int(np.argmin(counts))]}"
        limit = settings["policy.min_mean_confidence"] + self._escalating * settings["policy.hysteresis"]
        means = [float(side[:, 4].mean()) if len(side) else 1.0 for side in rows]
        if min(means) < limit:
            return f"mean confidence {SIDES[int(np.argmin(means))]}"
        if abs(counts[0] - counts[1]) > settings["policy.max_disagreement"]:
            return f"disagreement {SIDES[int(np.argmin(counts))]}"
        return None


def make_policy(settings: Settings) -> Policy:
    """The policy that `policy.name` names, without any memory."""
    name = settings["policy.name"]
    if name == "cascade":
        return Cascade(settings)
    return Fixed(name.removeprefix("fixed_"))
