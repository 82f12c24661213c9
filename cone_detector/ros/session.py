# SPDX-License-Identifier: Apache-2.0
"""Everything that lives from configure to clean-up: engine, pipeline, subscriptions and publishers, joined."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.lifecycle import LifecycleNode

from cone_detector.detector import StereoDetector, StereoResult
from cone_detector.engine.contract import Engine, EngineError
from cone_detector.engine.select import choose_for, load
from cone_detector.pairing import PairingCounts, Slot, slots_needed
from cone_detector.paths import shared
from cone_detector.pipeline import ClosingError, Pipeline
from cone_detector.ros.calibration import CalibrationWatch
from cone_detector.ros.inputs import Inputs
from cone_detector.ros.loading import Loaded
from cone_detector.ros.outputs import Outputs
from cone_detector.ros.statistics import Statistics
from cone_detector.ros.transforms import CameraPlacement
from cone_detector.settings import Settings

PASSES = ("320", "640")


def load_engine(settings: Settings) -> Loaded:
    """The engine that the settings ask for, warmed up, and why it was chosen. Raises EngineError or ManifestError."""
    choice = choose_for(settings, shared("engines"), PASSES)
    return load(choice, slots_needed(settings["queue.depth"]), settings["engine.threads"]), choice.reason


class Session:
    """One configured node. It works between `open` and `close`; `end` frees it."""

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        statistics: Statistics,
        loaded: Loaded,
        on_engine_fault: Callable[[EngineError], None],
    ) -> None:
        """loaded: what `load_engine` returned. on_engine_fault: called in the inference thread.

        Raises SettingError where the policy needs a pass that the engine lacks.
        """
        engine, self.choice = loaded
        self.recovery = ""
        self._no_cones_reason = ""
        self._on_engine_fault = on_engine_fault
        self._node = node
        self._settings = settings
        self._statistics = statistics
        self.placement = CameraPlacement(node, settings["stereo.target_frame"])
        self.calibration = CalibrationWatch(node, settings, self._on_calibration)
        self.pipeline = Pipeline(
            self._detector(engine),
            self._on_result,
            self._on_failure,
            round(settings["sync.tolerance_ms"] * 1e6),
            settings["queue.depth"],
        )
        # Last what cannot fail: a policy that the engine lacks a pass for leaves no publisher behind.
        self.outputs = Outputs(node, self.placement, self._on_fault)
        self.inputs = Inputs(node, settings, self.pipeline.offer, self._on_bad_image)
        self.camera_frame = ""
        self.pipeline.start()

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        self.calibration.settings = settings
        self.pipeline.detector.settings = settings

    def open(self) -> None:
        """Subscribes to all, or, where one cannot be (a topic's name is malformed), to nothing."""
        try:
            self.placement.open()
            self.calibration.open()
            self.inputs.open()
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Takes the subscriptions back: all, also where one of them cannot be and this raises why."""
        with ExitStack() as steps:
            for part in (self.placement, self.calibration, self.inputs):
                steps.callback(part.close)

    def end(self) -> None:
        """Stops the pipeline after the frame in work, and frees the engine. Each step runs, whatever one raises."""
        with ExitStack() as steps:
            steps.callback(self.outputs.destroy)
            steps.callback(self.pipeline.stop)
            steps.callback(self.close)

    def swap(self, loaded: Loaded) -> None:
        """Goes on with another engine; no image is lost. Raises SettingError, and goes on with the old one."""
        engine, choice = loaded
        self.pipeline.swap(self._detector(engine))
        self.choice, self.recovery = choice, ""

    @property
    def counts(self) -> PairingCounts:
        """What became of the images that came."""
        counts, undecoded = self.pipeline.counts, self.inputs.undecoded
        return counts if undecoded is None else counts.behind(undecoded)

    def take_no_cones_reason(self) -> str:
        """Why there are no cones in space now; empty where there are. What the last frame says is told once."""
        of_frame, self._no_cones_reason = self._no_cones_reason, ""
        if not self._settings["stereo.enabled"]:
            return "stereo.enabled is false"
        return self.calibration.reason or of_frame

    def _detector(self, engine: Engine) -> StereoDetector:
        detector = StereoDetector(engine, self._settings)
        self._calibrate(detector)
        return detector

    def _calibrate(self, detector: StereoDetector) -> None:
        locator = self.calibration.locator
        detector.locator, detector.no_locator_reason = locator, self.calibration.reason
        if locator is not None:
            calibration = locator.calibration
            rows = calibration.size[1]
            detector.pinhole = ((calibration.cy / rows, calibration.fy / rows),) * 2

    def _on_calibration(self) -> None:
        self._calibrate(self.pipeline.detector)

    def _on_result(self, result: StereoResult, slot: Slot) -> None:
        self.camera_frame = result.images[0].tag.frame_id
        age_ms = self.outputs.publish(result, slot, self._settings, self.counts)
        self._statistics.add_result(result, age_ms)
        self._no_cones_reason = result.no_cones_reason

    def _on_failure(self, error: Exception) -> None:
        if self._node.context.ok():
            kind = "closing" if isinstance(error, ClosingError) else "frame"
            self._on_fault(kind, f"{type(error).__name__}: {error}")
            if isinstance(error, EngineError):
                self._on_engine_fault(error)

    def _on_bad_image(self, side: str, message: str) -> None:
        self._on_fault(f"image {side}", message)

    def _on_fault(self, kind: str, message: str) -> None:
        if self._statistics.add_fault(kind, message):
            self._node.get_logger().error(f"{kind}: {message}")
