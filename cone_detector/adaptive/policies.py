# SPDX-License-Identifier: Apache-2.0
"""Policies: which passes run on a frame, decided before the first one and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive.band import BandPlacer
from cone_detector.adaptive.evidence import Evidence, EvidenceReader
from cone_detector.adaptive.merge import cut_by_strip
from cone_detector.adaptive.motion import Motion
from cone_detector.adaptive.passes import BAND, HIGH, LOW, NO_ROWS, Conditions, Rows, Sight, Step, passes_of
from cone_detector.engine.manifest import MAKE_PASS, Manifest
from cone_detector.settings import POLICIES, SettingError, Settings


@dataclass(frozen=True)
class Decision:
    """What follows the first pass.

    step: the second pass; None for none. evidence: what was measured; None where the policy asks for none.
    forbidden: the reason for a second pass that the deadline forbade; empty otherwise.
    """

    step: Step | None = None
    evidence: Evidence | None = None
    forbidden: str = ""


class Policy(Protocol):
    """Decides pass by pass; keeps what it must remember from frame to frame. One thread at a time may call it."""

    def first(self, conditions: Conditions) -> Step:
        """The pass that the frame begins with."""

    def second(self, sight: Sight, conditions: Conditions) -> Decision:
        """Whether a further pass over the same canvas follows."""

    def remember(self, rows: Rows) -> None:
        """Takes in what the frame's passes found together; called once a frame, last."""


class Fixed:
    """One pass, always the same."""

    def __init__(self, name: str) -> None:
        self._step = Step(name, "fixed")

    def first(self, conditions: Conditions) -> Step:
        return self._step

    def second(self, sight: Sight, conditions: Conditions) -> Decision:
        return Decision()

    def remember(self, rows: Rows) -> None:
        pass


class Gate:
    """From doubt to decision: a doubt holds for some frames after it has gone, and a refresh comes unasked."""

    def __init__(self, settings: Settings) -> None:
        self._hold_frames = settings["policy.hold_frames"]
        self._refresh_frames = settings["policy.refresh_frames"]
        self._held = 0
        self._doubt = ""
        self._since = 0

    def reason(self, doubt: str) -> str:
        """Why to look closer; empty for no. doubt: of this frame."""
        if doubt:
            self._held, self._doubt = self._hold_frames, doubt
            return doubt
        if self._held:
            self._held -= 1
            return f"held: {self._doubt}"
        return "refresh" if self._refresh_frames and self._since + 1 >= self._refresh_frames else ""

    def note(self, looked_closer: bool) -> None:
        """Books whether this frame got the closer look."""
        self._since = 0 if looked_closer else self._since + 1


class TwoPasses:
    """One pass first, then another on evidence: the cascade to 640, or a band; or always."""

    def __init__(
        self,
        passes: tuple[str, str],
        settings: Settings,
        canvas: tuple[int, int],
        band: BandPlacer | None = None,
        always: str = "",
    ) -> None:
        """band: places the strip where the second pass sees one. always: the reason where none is needed."""
        self._first = Step(passes[0], "first look")
        self._second = passes[1]
        self._always = always
        self._band = band
        self._reader = EvidenceReader(settings, canvas)
        self._gate = Gate(settings)
        self._earlier: Rows = (NO_ROWS, NO_ROWS)

    def first(self, conditions: Conditions) -> Step:
        return self._first

    def second(self, sight: Sight, conditions: Conditions) -> Decision:
        evidence = self._reader.read(sight, self._earlier)
        reason = self._gate.reason(evidence.reason) or self._always
        runs = bool(reason) and conditions.fits(self._second)
        self._gate.note(runs)
        if not runs:
            return Decision(None, evidence, reason)
        top = self._band.tops(sight.rows, self._earlier, conditions.horizon) if self._band else (0, 0)
        return Decision(Step(self._second, reason, top), evidence)

    def remember(self, rows: Rows) -> None:
        self._earlier = rows


class Predictive:
    """One pass a frame, so that the slowest frame is one 640 pass: the cheapest that sees every cone expected."""

    def __init__(self, settings: Settings, canvas: tuple[int, int], band: BandPlacer, strip: int) -> None:
        self._band = band
        self._strip = strip
        self._canvas_height = canvas[1]
        self._smallest = settings["policy.size_limit_px"]
        self._reader = EvidenceReader(settings, canvas)
        self._gate = Gate(settings)
        self._motion = (Motion(), Motion())
        self._expected: Rows | None = None
        self._step = Step(HIGH, "start")
        self._doubt = ""

    def first(self, conditions: Conditions) -> Step:
        self._step = self._choose(conditions)
        self._gate.note(self._step.name == HIGH)
        return self._step

    def _choose(self, conditions: Conditions) -> Step:
        if not conditions.fits(HIGH):
            return Step(LOW, "deadline")
        if self._expected is None:
            return Step(HIGH, "start")
        reason = self._gate.reason(self._doubt)
        if reason:
            return Step(HIGH, reason)
        if not any((rows[:, 3] - rows[:, 1] < self._smallest).any() for rows in self._expected):
            return Step(LOW, "no far cones expected")
        top = self._band.tops(self._expected, (NO_ROWS, NO_ROWS), conditions.horizon)
        if any(self._outside(rows, first).any() for rows, first in zip(self._expected, top, strict=True)):
            return Step(HIGH, "near and far cones expected")
        return Step(BAND, "far cones expected", top)

    def second(self, sight: Sight, conditions: Conditions) -> Decision:
        expected = self._expected or (NO_ROWS, NO_ROWS)
        visible = expected[0][~self._hidden(expected[0], 0)], expected[1][~self._hidden(expected[1], 1)]
        evidence = self._reader.read(sight, visible)
        doubt = evidence.reason or ("cone cut by the strip" if sight.cut else "")
        # After a full look nothing closer is to be had.
        self._doubt = "" if self._step.name == HIGH else doubt
        return Decision(None, evidence)

    def remember(self, rows: Rows) -> None:
        for side, motion in enumerate(self._motion):
            motion.update(rows[side], self._hidden(motion.predict(), side))
        self._expected = self._motion[0].predict(), self._motion[1].predict()

    def _hidden(self, rows: NDArray[np.float32], side: int) -> NDArray[np.bool_]:
        """Which of the cones the frame's pass could not see."""
        if self._step.name == LOW:
            return rows[:, 3] - rows[:, 1] < self._smallest
        if self._step.name == BAND:
            return self._outside(rows, self._step.top[side])
        return np.zeros(len(rows), bool)

    def _outside(self, rows: NDArray[np.float32], top: int) -> NDArray[np.bool_]:
        return cut_by_strip(rows, top, self._strip, self._canvas_height)


def resolved(settings: Settings, manifests: Mapping[str, Manifest]) -> Settings:
    """The settings with the policy's name that `auto` stands for; others as they are."""
    if settings["policy.name"] != "auto":
        return settings
    # Measured (docs/adaptive.md): a band finds more than 640 does and costs less; the cascade costs more.
    band = settings.changed({"policy.name": "band"})
    return band if _runs(band, manifests) else settings.changed({"policy.name": "fixed_640"})


def make_policy(settings: Settings, manifests: Mapping[str, Manifest]) -> Policy:
    """The policy that `policy.name` names, without any memory. manifests: of the passes at hand.

    Raises SettingError where a pass is missing that the policy needs.
    """
    settings = resolved(settings, manifests)
    name, needed = settings["policy.name"], passes_of(settings)
    if missing := [each for each in needed if each not in manifests]:
        raise SettingError(
            f"policy.name is '{name}', which needs the engines {', '.join(needed)}, but {', '.join(missing)} is not "
            f"there: make it with {MAKE_PASS.format(missing[0])}, or choose {', '.join(_possible(settings, manifests))}"
        )
    if name.startswith("fixed"):
        return Fixed(needed[0])
    canvas = manifests[needed[0]].canvas
    if name == "cascade":
        return TwoPasses((LOW, HIGH), settings, canvas)
    strip = manifests[needed[-1]].strip
    placer = BandPlacer(strip, canvas[1], settings["policy.camera_height_m"])
    if name == "predictive":
        return Predictive(settings, canvas, placer, strip)
    always = "" if settings["policy.band_on_evidence"] else "far cones"
    return TwoPasses((needed[0], needed[1]), settings, canvas, placer, always)


def _runs(settings: Settings, manifests: Mapping[str, Manifest]) -> bool:
    return all(each in manifests for each in passes_of(settings))


def _possible(settings: Settings, manifests: Mapping[str, Manifest]) -> list[str]:
    return [name for name in POLICIES if _runs(settings.changed({"policy.name": name}), manifests)]
