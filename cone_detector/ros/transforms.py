# SPDX-License-Identifier: Apache-2.0
"""Where the camera sits on the car, from tf.

The camera is bolted to the car, and so must the target frame be: a place that moves would have to be looked up for each
frame's stamp. /tf_static stays subscribed; /tf, which a car floods with moving frames, only while the camera's place
rests on it: a car that stands still does not show yet what will move.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from cone_detector.frame_tree import Chain, FrameTree, RigidTransform
from cone_detector.ros.qos import LATCHED_QOS, QUIET_SUBSCRIPTION


class CameraPlacement:
    """The transform from a camera's frame to `target`, while open."""

    def __init__(self, node: Node, target: str) -> None:
        """target: frame of the published cones; empty for the camera's own."""
        self.target = target
        self._node = node
        self._tree = FrameTree()
        self._known: dict[str, Chain] = {}
        self._sought = ""
        self._subscriptions: dict[str, Subscription] = {}
        self._message_type = _tf_message() if target else None

    def open(self) -> None:
        """Subscribes, where there is something to look up and tf's messages are installed."""
        if self._message_type is None:
            return
        for topic, qos in (("/tf_static", LATCHED_QOS), ("/tf", QoSProfile(depth=100))):
            take = partial(self._take, topic)
            self._subscriptions[topic] = self._node.create_subscription(
                self._message_type, topic, take, qos, event_callbacks=QUIET_SUBSCRIPTION
            )

    def close(self) -> None:
        """Takes back the subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])

    def find(self, source: str) -> RigidTransform | None:
        """What takes points from frame `source` to the target; None where cones stay in `source`."""
        self._sought = source
        chain = self._chain(source)
        return None if chain is None or chain.moved else chain.transform

    def reason(self, source: str) -> str:
        """Why cones stay in the frame `source`; empty where they do not, are wanted there, or no image has come."""
        if not self.target or source in ("", self.target):
            return ""
        if self._message_type is None:
            return "cones stay in the camera's frame: install tf2_msgs (apt, or python -m cone_detector.interfaces)"
        chain = self._chain(source)
        if chain is None:
            return (
                f"tf has no chain from '{source}' to '{self.target}': "
                "start robot_state_publisher, or set stereo.target_frame"
            )
        if chain.moved is not None:
            return (
                f"'{chain.moved.child}' moves in '{chain.moved.parent}' in tf, so cones stay in the camera's frame: "
                "set stereo.target_frame to a frame that is fixed to the car"
            )
        return ""

    def _chain(self, source: str) -> Chain | None:
        # Executor and inference thread both come here: what one found before the other cleared must not stay.
        known = self._known
        chain = known.get(source)
        if chain is None and self.target and source != self.target:
            chain = self._tree.find(source, self.target)
            if chain is not None:
                known[source] = chain
        return chain

    def _take(self, topic: str, message: Any) -> None:
        for stated in message.transforms:
            q, t = stated.transform.rotation, stated.transform.translation
            try:
                transform = RigidTransform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
            except ValueError as error:
                self._node.get_logger().error(f"{topic}: {stated.child_frame_id}: {error}", once=True)
                continue
            static = topic == "/tf_static"
            self._tree.set(stated.header.frame_id, stated.child_frame_id, transform, static)
        self._known = {}
        chain = self._chain(self._sought)
        if chain is not None and (chain.static or chain.moved) and "/tf" in self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop("/tf"))


def _tf_message() -> Any:
    """The message type of /tf; None where it is not installed, as on machines without apt's ROS 2."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return None
    return TFMessage
