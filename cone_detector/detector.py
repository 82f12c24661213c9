# SPDX-License-Identifier: Apache-2.0
"""The stereo detector: two camera images in, cones of both images and cones in space out.

The node, the replay benchmark and the evaluation all drive this one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive import Evidence, Step, make_policy
from cone_detector.boxes import keep_confident, suppress
from cone_detector.classes import CLASS_NAMES
from cone_detector.detections import Cones, Detections
from cone_detector.engine.contract import Engine
from cone_detector.frames import Frame
from cone_detector.latency import StageClock
from cone_detector.letterbox import Letterbox, LetterboxWriter
from cone_detector.settings import Settings

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

    detections: left, right. cones: None where there is no 3D, and `no_cones_reason` says why.
    steps: the passes that ran, each with its reason. ms: stage times in milliseconds, see `latency.STAGES`.
    """

    images: tuple[CameraImage, CameraImage]
    detections: tuple[Detections, Detections]
    cones: Cones | None
    no_cones_reason: str
    steps: tuple[Step, ...]
    ms: dict[str, float] = field(default_factory=dict)

    @property
    def escalated(self) -> bool:
        return len(self.steps) > 1


class StereoDetector:
    """Runs the adaptive passes over one slot, and stereo over what they find.

    settings and locator may be replaced at any time from another thread; a frame in work finishes with the old ones.
    """

    def __init__(self, engine: Engine, settings: Settings, locator: Locator | None = None) -> None:
        self.engine = engine
        self.locator = locator
        self.no_locator_reason = "no calibration yet: CameraInfo of both cameras is needed"
        self._writer = LetterboxWriter()
        # Exponential mean of each pass's time, for the deadline.
        self._pass_ms = dict.fromkeys(engine.manifests, 0.0)
        self.settings = settings

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        self._thresholds = _thresholds(settings)
        self._policy = make_policy(settings)

    def write(self, slot: int, side: int, frame: Frame, tag: Any = None) -> CameraImage:
        """Letterboxes a camera image into its half of a canvas slot. side: 0 left, 1 right."""
        return CameraImage(frame, self._writer.write(frame, self.engine.slots[slot][side]), tag)

    def detect(self, left: Frame, right: Frame) -> StereoResult:
        """Both images, start to end, in slot 0: for tools that have no camera."""
        clock = StageClock()
        images = (self.write(0, 0, left), self.write(0, 1, right))
        clock.lap("letterbox")
        return self.process(0, images, clock=clock)

    def process(
        self,
        slot: int,
        images: tuple[CameraImage, CameraImage],
        arrival_ns: int | None = None,
        clock: StageClock | None = None,
    ) -> StereoResult:
        """Finds the cones of the stereo frame that lies in `slot`.

        arrival_ns: perf_counter_ns when the pair was complete, for the deadline; now where not given.
        clock: goes on with stage times that began earlier. Raises EngineError where the engine fails.
        """
        clock = clock or StageClock()
        begin = perf_counter_ns() if arrival_ns is None else arrival_ns
        policy, thresholds, iou = self._policy, self._thresholds, self._settings["nms_iou"]
        clock.restart()
        step: Step | None = policy.first()
        steps: list[Step] = []
        while step is not None:
            steps.append(step)
            rows = self.engine.infer(step.name, slot, fresh=len(steps) == 1)
            self._note_time(step.name, clock.lap("inference"))
            left, right = keep_confident(rows[0], thresholds), keep_confident(rows[1], thresholds)
            if self.engine.manifests[step.name].nms:
                left, right = suppress(left, right, iou)
            clock.lap("nms")
            if len(steps) > 1:
                break
            elapsed = (perf_counter_ns() - begin) / 1e6
            step = policy.second(Evidence((left, right), elapsed, self._expected_ms()))
        found = (_in_image(left, images[0].letterbox), _in_image(right, images[1].letterbox))
        clock.lap("nms")
        cones, reason = self._locate(found, images)
        clock.lap("stereo")
        return StereoResult(images, found, cones, reason, tuple(steps), clock.ms)

    def close(self) -> None:
        self.engine.close()

    def _locate(
        self, found: tuple[Detections, Detections], images: tuple[CameraImage, CameraImage]
    ) -> tuple[Cones | None, str]:
        locator = self.locator
        if not self._settings["stereo.enabled"]:
            return None, "stereo.enabled is false"
        if locator is None:
            return None, self.no_locator_reason
        try:
            return locator(*found, images[0].frame, images[1].frame), ""
        except ValueError as error:
            return None, str(error)

    def _note_time(self, name: str, ms: float) -> None:
        self._pass_ms[name] += (ms - self._pass_ms[name]) * (0.1 if self._pass_ms[name] else 1.0)

    def _expected_ms(self) -> float:
        return self._pass_ms.get("640", 0.0)


def _in_image(rows: NDArray[np.float32], letterbox: Letterbox) -> Detections:
    found = Detections.from_rows(rows)
    return Detections(letterbox.to_source(found.xyxy), found.score, found.label)


def _thresholds(settings: Settings) -> NDArray[np.float32]:
    return np.array(
        [settings[f"class_confidence.{name}"] or settings["confidence"] for name in CLASS_NAMES], np.float32
    )
