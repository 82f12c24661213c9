# SPDX-License-Identifier: Apache-2.0
"""Publishes results: every pair is answered, an empty one too, under its own stamp and frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import Publisher as LifecyclePublisher
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float32, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

from cone_detector.detections import Cones
from cone_detector.detector import StereoResult
from cone_detector.latency import STAGES
from cone_detector.messages import ConesMessage, DetectionsMessage, MarkersMessage, StatusMessage, points_message
from cone_detector.pairing import PairingCounts, Slot
from cone_detector.ros.annotator import Annotator
from cone_detector.ros.qos import QUIET_PUBLISHER, RESULT_QOS
from cone_detector.ros.transforms import CameraPlacement
from cone_detector.settings import Settings
from cone_detector.stereo.transform import transformed

# Up in a frame by REP 103: of an optical frame, and of any other.
_UP_OPTICAL, _UP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class FrameReport:
    """What is known of a frame beside its result. age_ms: stamp to publication. counts: pairing so far."""

    result: StereoResult
    age_ms: float
    skew_ms: float
    counts: PairingCounts
    cones_frame: str


def latency_values(report: FrameReport) -> dict[str, Any]:
    """Keys and values of the `latency` topic: always the same keys, in the same order.

    *_ms of `latency.STAGES`; upload_ms, compute_ms and download_ms are the device's own for the last pass (nan: not
    measured). device: where the passes ran. passes: that ran, in order, each with its reason. resolution: the last pass
    that ran. evidence: what the policy measured after the first pass, left and right. forbidden: the reason for a pass
    that the deadline forbade.
    """
    result, times = report.result, report.result.times
    last = result.steps[-1]
    return {
        **{f"{stage}_ms": result.ms.get(stage, 0.0) for stage in STAGES},
        "age_ms": report.age_ms,
        "skew_ms": report.skew_ms,
        "upload_ms": times.upload_ms,
        "compute_ms": times.compute_ms,
        "download_ms": times.download_ms,
        "device": result.device,
        "resolution": last.name,
        "reason": last.reason,
        "passes": ", ".join(f"{step.name} ({step.reason})" for step in result.steps),
        "escalated": result.escalated,
        "evidence": str(result.evidence or ""),
        "forbidden": result.forbidden,
        "left": len(result.detections[0]),
        "right": len(result.detections[1]),
        "cones": "" if result.cones is None else len(result.cones),
        "cones_frame": report.cones_frame,
        "no_cones_reason": result.no_cones_reason,
        "pairs": report.counts.paired,
        "dropped": report.counts.dropped,
        "unpaired": sum(report.counts.unpaired),
    }


class Outputs:
    """The node's publishers. `publish` is called by the inference thread only."""

    def __init__(self, node: LifecycleNode, placement: CameraPlacement, on_fault: Callable[[str, str], None]) -> None:
        self._node = node
        self._placement = placement
        self._clock = node.get_clock()
        self._publishers: list[LifecyclePublisher] = []
        self._detections = tuple(self._add(Detection2DArray, f"detections/{side}") for side in ("left", "right"))
        self._cones = self._add(Detection3DArray, "cones")
        self._points = self._add(PointCloud2, "cones/points")
        self._markers = self._add(MarkerArray, "cones/markers")
        self._latency = self._add(DiagnosticArray, "latency")
        self._plots = {name: self._add(Float32, f"latency/{name}") for name in ("total_ms", "inference_ms", "age_ms")}
        self._annotated = self._add(Image, "image_annotated")
        self._annotator = Annotator(self._annotated.publish, on_fault)

        self._detections_messages = (DetectionsMessage(), DetectionsMessage())
        self._cones_message, self._markers_message = ConesMessage(), MarkersMessage()
        self._latency_message = StatusMessage("cone_detector: latency")
        self._number = Float32()

    def publish(self, result: StereoResult, slot: Slot, settings: Settings, counts: PairingCounts) -> float:
        """Publishes one frame, and its times last; adds `publish` to them. Returns the frame's age in milliseconds."""
        begin = perf_counter_ns()
        headers = (result.images[0].tag, result.images[1].tag)
        if settings["publish.detections"]:
            for side in (0, 1):
                message = self._detections_messages[side].fill(result.detections[side], headers[side])
                self._detections[side].publish(message)
        # Where there is no 3D the array is empty, and `latency` and /diagnostics say why: who waits for cones goes on.
        cones = Cones.empty() if result.cones is None else result.cones
        frame = self._publish_cones(cones, result.track_ids, headers[0], settings)
        now = perf_counter_ns()
        result.ms["publish"] = (now - begin) / 1e6
        result.ms["total"] = (now - max(slot.arrival_ns)) / 1e6
        age_ms = (self._clock.now().nanoseconds - min(slot.stamp_ns)) / 1e6
        if settings["publish.latency"]:
            report = FrameReport(result, age_ms, slot.skew_ns / 1e6, counts, frame)
            self._publish_latency(report, headers[0])
        if settings["publish.annotated"] and self._annotated.get_subscription_count():
            self._annotator.offer(result)
        return age_ms

    def destroy(self) -> None:
        """Takes back the publishers."""
        self._annotator.stop()
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.pop())

    def _add(self, kind: Any, topic: str) -> LifecyclePublisher:
        made = self._node.create_lifecycle_publisher(kind, topic, RESULT_QOS, event_callbacks=QUIET_PUBLISHER)
        self._publishers.append(made)
        return made

    def _publish_cones(
        self, cones: Cones, track_ids: NDArray[np.int64] | None, source: Header, settings: Settings
    ) -> str:
        """Publishes cones where tf puts them; returns the frame that they are published in."""
        ids: Sequence[int] = () if track_ids is None else track_ids.tolist()
        placed = self._placement.find(source.frame_id)
        header, up = source, _UP_OPTICAL
        if placed is not None:
            cones = transformed(cones, placed.rotation, placed.translation)
            header, up = Header(stamp=source.stamp, frame_id=self._placement.target), _UP
        if settings["publish.cones"]:
            self._cones.publish(self._cones_message.fill(cones, header, up, ids))
        if settings["publish.points"] and self._points.get_subscription_count():
            self._points.publish(points_message(cones, header))
        if settings["publish.markers"] and self._markers.get_subscription_count():
            self._markers.publish(self._markers_message.fill(cones, header, up, ids))
        return header.frame_id

    def _publish_latency(self, report: FrameReport, header: Header) -> None:
        values = latency_values(report)
        message = self._latency_message.fill(values, header.stamp, values["passes"])
        self._latency.publish(message)
        for name, publisher in self._plots.items():
            if publisher.get_subscription_count() and math.isfinite(values[name]):
                self._number.data = values[name]
                publisher.publish(self._number)
