# SPDX-License-Identifier: Apache-2.0
"""Takes the node's results as the rest of the car would, as cheaply as can be: undecoded, counted, with their age."""

from __future__ import annotations

import struct
import time
from functools import partial

from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from vision_msgs.msg import Detection2DArray, Detection3DArray

from cone_detector.ros.spinning import SpinningNode

TOPICS = {"detections/left": Detection2DArray, "detections/right": Detection2DArray, "cones": Detection3DArray}


class Arrivals:
    """age_ms: by topic, of each message that has arrived, from its stamp."""

    def __init__(self) -> None:
        """Starts ROS in this process; `close` ends it."""
        self.age_ms: dict[str, list[float]] = {topic: [] for topic in TOPICS}
        self._ros = SpinningNode("cone_arrivals", [])
        self._subscriptions: list[Subscription] = []
        for topic, kind in TOPICS.items():
            take = partial(self._take, self.age_ms[topic])
            made = self._ros.node.create_subscription(kind, topic, take, QoSProfile(depth=500), raw=True)
            self._subscriptions.append(made)
        self._ros.start()

    @property
    def connected(self) -> bool:
        """Whether the node's publishers have been found."""
        return all(subscription.get_publisher_count() for subscription in self._subscriptions)

    def close(self) -> None:
        """Ends the thread and ROS."""
        self._ros.close()

    @staticmethod
    def _take(ages: list[float], raw: bytes) -> None:
        # In CDR the header's sec and nanosec follow four bytes of encapsulation.
        seconds, nanoseconds = struct.unpack_from("<iI", raw, 4)
        ages.append((time.time_ns() - seconds * 10**9 - nanoseconds) / 1e6)
