# SPDX-License-Identifier: Apache-2.0
"""Plays a stereo bag like a camera: both images at camera rate, stamped with now, over and over.

A process of its own, so that what it costs is not the detector's. It reports on standard output, one JSON object a
line: `{"event": "ready", ...}` once subscribers are there, and `{"event": "done", ...}` with its counts at the end.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cone_detector.frames import FrameError
from cone_detector.process import settle_garbage
from cone_detector.replay.bag_topics import BagError, StereoTopics
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.stream import DEFAULT_MEMORY, Parcel, Parcels, info_messages, stamp_message
from cone_detector.ros.malloc import keep_large_buffers
from cone_detector.transport import use_installed_profile

SIDES = ("left", "right")

# Below this the system's sleep is not exact enough; the rest of the wait is spent looking at the clock.
_SLEEP_SLACK_S = 0.0005


class Player:
    """Publishes parcels on left/image and right/image, with both camera_info topics where the bag has them."""

    def __init__(
        self,
        node: Node,
        infos: tuple[bytearray | None, bytearray | None],
        reliable: bool,
        compressed: bool = False,
    ) -> None:
        """compressed: parcels hold CompressedImage messages."""
        kind = CompressedImage if compressed else Image
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=reliability)
        self._images: list[Publisher] = [node.create_publisher(kind, f"{side}/image", qos) for side in SIDES]
        self._infos: list[tuple[Publisher, bytearray]] = [
            (node.create_publisher(CameraInfo, f"{side}/camera_info", qos), info)
            for side, info in zip(SIDES, infos, strict=True)
            if info is not None
        ]
        # A wall clock that never jumps: stamps stay comparable with other processes' and rise evenly.
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self.late = 0
        self.publish_ms: list[float] = []
        self.stamps_ns: list[int] = []

    def wait_for_subscribers(self, timeout_s: float) -> bool:
        """Whether somebody took both image topics within `timeout_s`."""
        end = time.monotonic() + timeout_s
        while not all(publisher.get_subscription_count() for publisher in self._images):
            if time.monotonic() > end or not rclpy.ok():
                return False
            time.sleep(0.02)
        # A subscriber learns of the publisher a little later than the other way round, and loses what comes before.
        time.sleep(0.5)
        return True

    def play(self, parcels: Iterator[Parcel], rate_hz: float, seconds: float) -> None:
        """Publishes at `rate_hz` until parcels or `seconds` (0: no end) are over, or ROS shuts down.

        A pair that is more than a period late is counted, and the schedule begins anew with it: a camera, too, never
        catches up.
        """
        period = 1.0 / rate_hz
        begin = due = time.monotonic()
        for parcel in parcels:
            if seconds and due - begin >= seconds:
                return
            _sleep_until(due)
            if not rclpy.ok():
                return
            now = time.monotonic()
            if now - due > period:
                self.late += 1
                due = now
            self._publish(parcel)
            due += period

    def _publish(self, parcel: Parcel) -> None:
        start = time.monotonic_ns()
        stamp_ns = self._wall_ns + start
        for publisher, info in self._infos:
            stamp_message(info, stamp_ns)
            publisher.publish(bytes(info))
        for publisher, image in zip(self._images, parcel.images, strict=True):
            stamp_message(image, stamp_ns)
            publisher.publish(bytes(image))
        self.stamps_ns.append(stamp_ns)
        self.publish_ms.append((time.monotonic_ns() - start) / 1e6)

    def counts(self) -> dict[str, Any]:
        """What was sent, and what sending a pair took in milliseconds."""
        p50, p99 = np.percentile(self.publish_ms, (50, 99)) if self.publish_ms else (0.0, 0.0)
        return {
            "sent": len(self.stamps_ns),
            "late": self.late,
            "publish_ms_p50": float(p50),
            "publish_ms_p99": float(p99),
        }


def _sleep_until(due: float) -> None:
    remaining = due - time.monotonic()
    if remaining > _SLEEP_SLACK_S:
        time.sleep(remaining - _SLEEP_SLACK_S)
    while time.monotonic() < due:
        pass


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options, ros_arguments = _parser().parse_known_args(arguments)
    keep_large_buffers()
    use_installed_profile()
    try:
        with StereoBag(options.bag, StereoTopics(options.left, options.right, options.side_by_side)) as bag:
            parcels = Parcels(bag, options.memory, options.compressed)
            rate = options.rate or bag.rate_hz() or 30.0
            return _run(options, ros_arguments, parcels, info_messages(bag), rate)
    except (BagError, FrameError) as error:
        print(f"cone-replay: {error}", file=sys.stderr)
        return 1


def _run(
    options: argparse.Namespace,
    ros_arguments: list[str],
    parcels: Parcels,
    infos: tuple[bytearray | None, bytearray | None],
    rate: float,
) -> int:
    rclpy.init(args=ros_arguments)
    node = Node("stereo_player")
    signal.signal(signal.SIGTERM, lambda *_: rclpy.try_shutdown())
    try:
        player = Player(node, infos, options.reliable, options.compressed)
        if not player.wait_for_subscribers(options.wait):
            print(f"cone-replay: nobody subscribed to both images in {options.wait:g} s", file=sys.stderr)
            return 1
        settle_garbage()
        _tell("ready", rate_hz=rate, pairs=parcels.kept, whole=parcels.whole)
        source = parcels.forever()
        if options.pairs:
            source = islice(source, options.pairs)
        elif not options.loop:
            source = parcels.once()
        player.play(source, rate, options.seconds)
        # Writers that close at once take the last samples with them.
        time.sleep(0.2)
        if options.stamps:
            count = parcels.count()
            options.stamps.write_text(json.dumps([(stamp, n % count) for n, stamp in enumerate(player.stamps_ns)]))
        _tell("done", **player.counts())
        return 0
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        node.destroy_node()
        rclpy.try_shutdown()


def _tell(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cone-replay play", description=__doc__)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=0.0, help="pairs a second; 0: as recorded")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long; 0: no limit")
    parser.add_argument("--pairs", type=int, default=0, help="stop after so many pairs, looping over the bag")
    parser.add_argument("--loop", action="store_true", help="begin anew at the end of the bag")
    parser.add_argument("--reliable", action="store_true", help="publish reliably; a camera publishes best effort")
    parser.add_argument(
        "--compressed", action="store_true", help="publish compressed images as recorded, for input.compressed"
    )
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for subscribers")
    for name in ("left", "right", "side-by-side"):
        parser.add_argument(
            f"--{name}", default="", metavar="TOPIC", help="image topic in the bag; empty: found by name"
        )
    parser.add_argument("--stamps", type=Path, help="file for the stamps sent, each with its pair's number in the bag")
    parser.add_argument("--memory", type=int, default=DEFAULT_MEMORY, help="bytes of decoded pairs to keep")
    return parser


if __name__ == "__main__":
    sys.exit(main())
