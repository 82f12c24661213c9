# SPDX-License-Identifier: Apache-2.0
"""CameraInfo of both cameras, made into the locator of cones; a camera that is calibrated anew is noticed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from cone_detector.ros.qos import INFO_QOS, QUIET_SUBSCRIPTION
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import CalibrationError, CameraModel, StereoCalibration
from cone_detector.stereo.locator import StereoLocator

SIDES = ("left", "right")

# CameraInfo comes with every image and hardly ever changes: it is looked at this often once it is known.
_PERIOD_S = 1.0


class OccasionalGroup(CallbackGroup):
    """Lets the executor see a subscription only once in `period_s`: the middleware keeps the newest message.

    Messages of no interest would otherwise wake the executor, with every image, for nothing.
    """

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s = period_s
        self._resume_s = 0.0

    def can_execute(self, entity: object) -> bool:
        return monotonic() >= self._resume_s

    def beginning_execution(self, entity: object) -> bool:
        return True

    def ending_execution(self, entity: object) -> None:
        self._resume_s = monotonic() + self._period_s


class CalibrationWatch:
    """Subscribes to CameraInfo while open.

    locator: None where cones cannot be located; `reason` then says why. on_change: called when either has changed.
    """

    def __init__(self, node: Node, settings: Settings, on_change: Callable[[], None]) -> None:
        self._node = node
        self._on_change = on_change
        self._subscriptions: list[Subscription] = []
        self._topics = [settings[f"topics.{side}_info"] for side in SIDES]
        self._models: list[CameraModel | None] = [None, None]
        self._contents: list[tuple[object, ...] | None] = [None, None]
        self._settings = settings
        self.locator: StereoLocator | None = None
        self.reason = self._missing()

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        if self.locator is not None:
            self.locator.settings = settings

    def open(self) -> None:
        """Subscribes."""
        for side, topic in enumerate(self._topics):
            self._subscriptions.append(
                self._node.create_subscription(
                    CameraInfo,
                    topic,
                    partial(self._take, side),
                    INFO_QOS,
                    callback_group=OccasionalGroup(_PERIOD_S),
                    event_callbacks=QUIET_SUBSCRIPTION,
                )
            )

    def close(self) -> None:
        """Takes back the subscriptions; what is known stays known."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _take(self, side: int, message: CameraInfo) -> None:
        parts = (message.p, message.k, message.r, message.d)
        content = (message.width, message.height, message.distortion_model, *(bytes(part) for part in parts))
        if content == self._contents[side]:
            return
        self._contents[side] = content
        self._models[side] = CameraModel(
            (message.width, message.height), message.p, message.k, message.d, message.r, message.distortion_model
        )
        self._rebuild()
        self._on_change()

    def _rebuild(self) -> None:
        left, right = self._models
        self.locator, self.reason = None, self._missing()
        if left is None or right is None:
            return
        try:
            calibration = StereoCalibration.from_cameras(left, right, self._settings["stereo.rectify"])
        except CalibrationError as error:
            self.reason = str(error)
        except Exception as error:  # whatever a driver sends, the executor goes on
            self.reason = f"CameraInfo cannot be used, {type(error).__name__}: {error}"
        else:
            self.locator = StereoLocator(calibration, self._settings)

    def _missing(self) -> str:
        topics = [topic for topic, model in zip(self._topics, self._models, strict=True) if model is None]
        return f"no CameraInfo on {' and '.join(topics)} yet" if topics else ""
