# SPDX-License-Identifier: Apache-2.0
"""Listens to a running detector as the rest of the car does, and keeps what it says of each pair."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.detections import Detections
from cone_detector.latency import STAGES
from cone_detector.replay.records import FrameRecord, count_cones, engine_text
from cone_detector.ros.spinning import SpinningNode

# Deep enough for a recorder that is held up for seconds.
_QOS = QoSProfile(depth=500)
_LABELS = {name: label for label, name in enumerate(CLASS_NAMES)}
_PASS_NAMES = re.compile(r"(\w+) \(")


@dataclass(frozen=True)
class LocatedCones:
    """A `cones` message. position: (N, 3) metres, bases. covariance: (N, 3, 3) square metres. label: (N,) int64."""

    frame_id: str
    position: np.ndarray
    covariance: np.ndarray
    label: np.ndarray
    score: np.ndarray


@dataclass
class Answer:
    """All messages about one pair, by its stamp. arrival_ns: wall clock of the last detection message.

    detections: left, right. values: of the `latency` topic.
    """

    stamp_ns: int
    arrival_ns: int = 0
    detections: list[Detections | None] = field(default_factory=lambda: [None, None])
    cones: LocatedCones | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether both images are answered and timed."""
        return bool(self.values) and None not in self.detections


class Recorder:
    """Subscribes to detections/left, detections/right, cones and latency, in a thread of its own.

    answers: by stamp, in the order of their first message. engine: in words, once /diagnostics has said so.
    """

    def __init__(self, ros_arguments: list[str]) -> None:
        """Starts ROS in this process; `close` ends it. ros_arguments: as remappings. Ctrl-C is left to the caller."""
        self.answers: dict[int, Answer] = {}
        self.engine = ""
        self._ros = SpinningNode("cone_recorder", ros_arguments)
        taken: list[tuple[Any, str, Callable[[Any], None]]] = [
            (Detection2DArray, "detections/left", partial(self._take_detections, 0)),
            (Detection2DArray, "detections/right", partial(self._take_detections, 1)),
            (Detection3DArray, "cones", self._take_cones),
            (DiagnosticArray, "latency", self._take_latency),
            (DiagnosticArray, "/diagnostics", self._take_diagnostics),
        ]
        self._subscriptions = [self._ros.node.create_subscription(*one, _QOS) for one in taken]
        self._ros.start()

    def close(self) -> None:
        """Ends the thread and ROS; answers stay."""
        self._ros.close()

    def wait_for_node(self, timeout_s: float) -> bool:
        """Whether a node's publishers were found within `timeout_s`, so that its first answer is not missed."""
        end = time.monotonic() + timeout_s
        while not all(subscription.get_publisher_count() for subscription in self._subscriptions):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def wait_until_quiet(self, quiet_s: float = 0.7, timeout_s: float = 10.0) -> None:
        """Returns when no new answer has come for `quiet_s`."""
        end = time.monotonic() + timeout_s
        known = -1
        while known != len(self.answers) and time.monotonic() < end:
            known = len(self.answers)
            time.sleep(quiet_s)

    def _answer(self, header: Header) -> Answer:
        stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
        answer = self.answers.get(stamp_ns)
        if answer is None:
            answer = self.answers[stamp_ns] = Answer(stamp_ns)
        return answer

    def _take_detections(self, side: int, message: Detection2DArray) -> None:
        now = time.time_ns()
        answer = self._answer(message.header)
        answer.arrival_ns = max(answer.arrival_ns, now)
        answer.detections[side] = detections_of(message)

    def _take_cones(self, message: Detection3DArray) -> None:
        now = time.time_ns()
        answer = self._answer(message.header)
        answer.arrival_ns = max(answer.arrival_ns, now)
        answer.cones = located_of(message)

    def _take_latency(self, message: DiagnosticArray) -> None:
        self._answer(message.header).values = _values(message.status[0])

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "cone_detector: inference":
                values = _values(status)
                keys = ("engine", "precision", "runtime", "device")
                self.engine = engine_text(*(values.get(key, "") for key in keys))


def detections_of(message: Detection2DArray) -> Detections:
    """A message's boxes. Classes that are none of ours become unknown_cone."""
    rows = [
        (
            part.bbox.center.position.x,
            part.bbox.center.position.y,
            part.bbox.size_x / 2,
            part.bbox.size_y / 2,
            part.results[0].hypothesis.score,
            _label(part.results[0].hypothesis.class_id),
        )
        for part in message.detections
    ]
    x, y, half_width, half_height, score, label = np.array(rows, np.float32).reshape(-1, 6).T
    xyxy = np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)
    return Detections(xyxy, score, label.astype(np.int64))


def located_of(message: Detection3DArray) -> LocatedCones:
    """A message's cones in space, in the frame of its header."""
    parts = [part.results[0] for part in message.detections]
    points = [part.pose.pose.position for part in parts]
    position = np.array([(p.x, p.y, p.z) for p in points]).reshape(-1, 3)
    covariance = np.array([part.pose.covariance for part in parts]).reshape(-1, 6, 6)[:, :3, :3]
    label = np.array([_label(part.hypothesis.class_id) for part in parts], np.int64)
    score = np.array([part.hypothesis.score for part in parts], np.float32)
    return LocatedCones(message.header.frame_id, position, covariance, label, score)


def record_of_answer(answer: Answer, begin_ns: int) -> FrameRecord:
    """The record of a complete answer. begin_ns: wall clock at the start of the replay.

    Its age is the car's: from the stamp to the arrival here. The node's own, without the way here, is `node_age`.
    """
    left, right = answer.detections
    if left is None or right is None:
        raise ValueError(f"answer of {answer.stamp_ns} lacks the detections of an image")
    empty = np.empty(0, np.int64)
    located = empty if answer.cones is None else answer.cones.label
    values = answer.values
    stages = {stage: float(values[f"{stage}_ms"]) for stage in STAGES}
    stages["node_age"] = float(values["age_ms"])
    for part in ("upload", "compute", "download"):
        if np.isfinite(ms := float(values[f"{part}_ms"])):
            stages[part] = ms
    return FrameRecord(
        (answer.arrival_ns - begin_ns) / 1e9,
        (answer.arrival_ns - answer.stamp_ns) / 1e6,
        stages,
        tuple(_PASS_NAMES.findall(values["passes"])),
        values["reason"],
        count_cones(left.label, right.label, located),
    )


def _values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def _label(class_id: str) -> int:
    return _LABELS.get(class_id, _LABELS["unknown_cone"])
