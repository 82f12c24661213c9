# SPDX-License-Identifier: Apache-2.0
"""The stereo detector: two camera images in, cones of both images and cones in space out.

The node, the replay benchmark and the evaluation all drive this one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive import (
    Budget,
    Conditions,
    Evidence,
    Policy,
    Rows,
    Sight,
    Step,
    cut_by_strip,
    make_policy,
    merge,
)
from cone_detector.adaptive.band import NOMINAL_FOCAL_SHARE, horizon_share
from cone_detector.adaptive.policies import Fixed
from cone_detector.boxes import sift, suppress
from cone_detector.classes import CLASS_NAMES
from cone_detector.detections import Cones, Detections
from cone_detector.engine.contract import Engine, PassTimes
from cone_detector.frames import Frame
from cone_detector.latency import StageClock
from cone_detector.letterbox import Letterbox, LetterboxWriter
from cone_detector.settings import Settings
from cone_detector.stereo.tracking import ConeTracker

# Finds the cones that both images show: (left, right, left image, right image) to cones in space.
Locator = Callable[[Detections, Detections, Frame, Frame], Cones]


@dataclass(frozen=True)
class CameraImage:
    """One image that lies letterboxed in a slot. tag: whatever the caller wants back with the result (a ROS header)."""

    frame: Frame
    letterbox: Letterbox
    tag: Any = None


@dataclass(frozen=True)
class StereoResult:
    """All that is known of one stereo frame.

    detections: left, right. cones: None where there is no 3D, and `no_cones_reason` says why; tracked where
    `track_ids` are given: (N,) int64, the same over time; None where tracking is off.
    steps: the passes that ran, each with its reason. ms: stage times in milliseconds, see `latency.STAGES`.
    evidence: what the policy measured after the first pass; None where it asks for none.
    forbidden: the reason for a second pass that the deadline forbade; empty otherwise.
    device: where the passes ran. times: the device's own, of the last pass.
    """

    images: tuple[CameraImage, CameraImage]
    detections: tuple[Detections, Detections]
    cones: Cones | None
    no_cones_reason: str
    steps: tuple[Step, ...]
    ms: dict[str, float] = field(default_factory=dict)
    evidence: Evidence | None = None
    forbidden: str = ""
    track_ids: NDArray[np.int64] | None = None
    device: str = ""
    times: PassTimes = field(default_factory=PassTimes)

    @property
    def escalated(self) -> bool:
        return len(self.steps) > 1


@dataclass(frozen=True)
class _Plan:
    """All that the settings decide, so that a frame in work keeps the old ones.

    thresholds: (classes,) float32. floor: lowest score that is read at all. place_iou: overlap of two boxes, of any
    classes, that are one cone. pitch_deg: of the cameras.
    """

    policy: Policy
    thresholds: NDArray[np.float32]
    floor: float
    nms_iou: float
    place_iou: float
    deadline_ms: float
    pitch_deg: float
    stereo: bool
    tracking: bool


class StereoDetector:
    """Runs the adaptive passes over one slot, and stereo over what they find.

    settings, locator and pinhole may be replaced at any time from another thread; a frame in work finishes with the old
    ones. pinhole: cy and fy as shares of the image's height, left and right; tells where the horizon is.
    """

    def __init__(
        self, engine: Engine, settings: Settings, locator: Locator | None = None, policy: Policy | None = None
    ) -> None:
        """policy: instead of the one that the settings name, for tools that replay decisions.

        Raises SettingError where the policy needs a pass that the engine lacks.
        """
        self.engine = engine
        self._own_policy = policy
        self.locator = locator
        self.no_locator_reason = "no calibration yet: CameraInfo of both cameras is needed"
        # Goes on with the next detector, so that ids stay over a change of engines.
        self.tracker: ConeTracker | None = None
        self.pinhole = ((0.5, NOMINAL_FOCAL_SHARE), (0.5, NOMINAL_FOCAL_SHARE))
        self._writer = LetterboxWriter()
        # Of the inference thread alone, while others write canvases.
        self._close_up_writer = LetterboxWriter()
        self._budget = Budget({name: m.network[0] * m.network[1] for name, m in engine.manifests.items()})
        self.settings = settings

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        """Raises SettingError, and keeps the old ones, where the policy needs a pass that the engine lacks."""
        policy = self._own_policy or make_policy(settings, self.engine.manifests)
        self._plan = _make_plan(settings, policy)
        self._settings = settings

    def write(self, slot: int, side: int, frame: Frame, tag: Any = None) -> CameraImage:
        """Letterboxes a camera image into its half of a canvas slot. side: 0 left, 1 right."""
        return CameraImage(frame, self._writer.write(frame, self.engine.slots[slot][side]), tag)

    def detect(self, left: Frame, right: Frame, stamp_ns: int = 0) -> StereoResult:
        """Both images, start to end, in slot 0: for tools that have no camera. stamp_ns: as for `process`."""
        clock = StageClock()
        images = (self.write(0, 0, left), self.write(0, 1, right))
        clock.lap("letterbox")
        return self.process(0, images, clock=clock, stamp_ns=stamp_ns)

    def process(
        self,
        slot: int,
        images: tuple[CameraImage, CameraImage],
        arrival_ns: int | None = None,
        clock: StageClock | None = None,
        stamp_ns: int = 0,
    ) -> StereoResult:
        """Finds the cones of the stereo frame that lies in `slot`.

        arrival_ns: perf_counter_ns when the second image came, for the deadline; now where not given.
        clock: goes on with stage times that began earlier. stamp_ns: the camera's, for tracking; one that does not
        grow begins anew. Raises EngineError where the engine fails.
        """
        clock = clock or StageClock()
        plan = self._plan
        self._budget.begin(perf_counter_ns() if arrival_ns is None else arrival_ns, plan.deadline_ms)
        conditions = Conditions(self._budget.fits, self._horizon(images, plan.pitch_deg))
        clock.restart()
        steps = [plan.policy.first(conditions)]
        sight = self._whole_cones(self._look(plan, steps[0], slot, images, True, clock), steps[0])
        decision = plan.policy.second(sight, conditions)
        rows = sight.rows
        if decision.step is not None:
            steps.append(decision.step)
            rows = self._combine(rows, self._look(plan, decision.step, slot, images, False, clock).rows, decision.step)
        if self.engine.manifests[steps[-1].name].nms:
            # Of what is published only: a class that stays below its threshold must not take another's place.
            rows = suppress(rows, plan.place_iou, across_classes=True)
        plan.policy.remember(rows)
        found = (_in_image(rows[0], images[0].letterbox), _in_image(rows[1], images[1].letterbox))
        clock.lap("nms")
        cones, reason = self._locate(found, images, plan.stereo)
        ids: NDArray[np.int64] | None = None
        if plan.tracking and cones is not None:
            cones, ids = self._tracked(cones, stamp_ns)
        clock.lap("stereo")
        # The engine fills its times anew with the next frame, or is no longer the node's when this one is published.
        return StereoResult(
            images,
            found,
            cones,
            reason,
            tuple(steps),
            clock.ms,
            decision.evidence,
            decision.forbidden,
            ids,
            self.engine.device,
            replace(self.engine.times),
        )

    def close(self) -> None:
        self.engine.close()

    def _look(
        self,
        plan: _Plan,
        step: Step,
        slot: int,
        images: tuple[CameraImage, CameraImage],
        fresh: bool,
        clock: StageClock,
    ) -> Sight:
        """Runs one pass; its rows without doubles, those to publish apart from fainter ones."""
        if step.name in self.engine.close_ups:
            self._write_close_up(step, images)
        rows = self.engine.infer(step.name, slot, fresh, step.top)
        spent = clock.lap("inference")
        # A network that suppresses doubles itself leaves none.
        iou = plan.nms_iou if self.engine.manifests[step.name].nms else 1.0
        sure, faint = sift(rows, plan.floor, plan.thresholds, iou)
        self._budget.note(step.name, spent + clock.lap("nms"))
        return Sight(sure, faint)

    def _whole_cones(self, seen: Sight, step: Step) -> Sight:
        """What a first pass saw, without the cones that its strip's edge cuts: no other pass shows them whole."""
        manifest = self.engine.manifests[step.name]
        if not manifest.strip:
            return seen
        (left, right), (left_top, right_top) = seen.rows, step.top
        left_cut = cut_by_strip(left, left_top, manifest.strip, manifest.canvas[1])
        right_cut = cut_by_strip(right, right_top, manifest.strip, manifest.canvas[1])
        return Sight((left[~left_cut], right[~right_cut]), seen.faint, bool(left_cut.any() or right_cut.any()))

    def _write_close_up(self, step: Step, images: tuple[CameraImage, CameraImage]) -> None:
        strip = self.engine.manifests[step.name].strip
        for image, top, close_up in zip(images, step.top, self.engine.close_ups[step.name], strict=True):
            self._close_up_writer.write_close_up(image.frame, image.letterbox, top, strip, close_up)

    def _combine(self, first: Rows, second: Rows, step: Step) -> Rows:
        """Rows of both passes: a look at the whole canvas replaces the first one, a look at a strip completes it."""
        manifest = self.engine.manifests[step.name]
        if not manifest.strip:
            return second
        return merge(first, second, step.top, manifest.strip, manifest.canvas[1])

    def _horizon(self, images: tuple[CameraImage, CameraImage], pitch_deg: float) -> tuple[float, float]:
        left, right = (
            image.letterbox.offset[1] + horizon_share(*pinhole, pitch_deg) * image.letterbox.scaled[1]
            for image, pinhole in zip(images, self.pinhole, strict=True)
        )
        return left, right

    def _tracked(self, cones: Cones, stamp_ns: int) -> tuple[Cones, NDArray[np.int64]]:
        self.tracker = self.tracker or ConeTracker(self._settings)
        self.tracker.settings = self._settings
        tracks = self.tracker.update(cones, stamp_ns / 1e9)
        return tracks.cones, tracks.id

    def _locate(
        self, found: tuple[Detections, Detections], images: tuple[CameraImage, CameraImage], wanted: bool
    ) -> tuple[Cones | None, str]:
        locator = self.locator
        if not wanted:
            return None, "stereo.enabled is false"
        if locator is None:
            return None, self.no_locator_reason
        try:
            return locator(*found, images[0].frame, images[1].frame), ""
        except ValueError as error:
            return None, str(error)


def _make_plan(settings: Settings, policy: Policy) -> _Plan:
    thresholds = np.array(
        [settings[f"class_confidence.{name}"] or settings["confidence"] for name in CLASS_NAMES], np.float32
    )
    floor = float(thresholds.min())
    # A fixed policy asks for no evidence: nobody looks at fainter rows.
    if settings["policy.evidence.ambiguous"] and not isinstance(policy, Fixed):
        floor = min(floor, settings["policy.ambiguous_from"])
    return _Plan(
        policy,
        thresholds,
        floor,
        settings["nms_iou"],
        settings["nms_iou_across_classes"],
        settings["policy.deadline_ms"],
        settings["policy.camera_pitch_deg"],
        settings["stereo.enabled"],
        settings["stereo.tracking"],
    )


def _in_image(rows: NDArray[np.float32], letterbox: Letterbox) -> Detections:
    found = Detections.from_rows(rows)
    return Detections(letterbox.to_source(found.xyxy), found.score, found.label)
