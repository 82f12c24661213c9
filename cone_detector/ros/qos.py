# SPDX-License-Identifier: Apache-2.0
"""Quality of service of the image subscriptions, and which publishers do not fit and why."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

from cone_detector.settings import Settings

# rclpy gives each endpoint two event handlers of its own, and each is looked at whenever any message arrives: with ten
# publishers that doubles the cost of taking an image. `find_misfits` sees what they would tell, once a second.
QUIET_PUBLISHER = PublisherEventCallbacks(use_default_callbacks=False)
QUIET_SUBSCRIPTION = SubscriptionEventCallbacks(use_default_callbacks=False)

RESULT_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
INFO_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

# rmw_dds_common's, which rclpy hands on.
_UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"


def image_qos(settings: Settings) -> QoSProfile:
    """Sensor data by default: best effort, volatile, a few images deep."""
    reliable = settings["qos.reliability"] == "reliable"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=settings["qos.depth"],
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


@dataclass(frozen=True)
class Wanted:
    """One subscription as it should be served. topic: fully resolved. kind: as sensor_msgs/msg/Image."""

    topic: str
    kind: str
    qos: QoSProfile
    setting: str


def find_misfits(node: Node, wanted: Wanted) -> list[str]:
    """One line for each publisher on the topic from which nothing can arrive; names publisher, setting and fix."""
    lines = []
    for publisher in node.get_publishers_info_by_topic(wanted.topic):
        name = _name_of(publisher)
        if publisher.topic_type != wanted.kind:
            fix = "set input.compressed" if "Compressed" in publisher.topic_type + wanted.kind else "choose its topic"
            lines.append(
                f"{wanted.topic}: publisher {name} sends {publisher.topic_type}, this node takes {wanted.kind}: "
                f"{fix} ({wanted.setting})"
            )
            continue
        compatible, reason = qos_check_compatible(publisher.qos_profile, wanted.qos)
        if compatible != QoSCompatibility.ERROR:
            continue
        if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
            lines.append(
                f"{wanted.topic}: publisher {name} offers reliability best_effort, this node asks for reliable: "
                "set qos.reliability to best_effort, or make the publisher reliable"
            )
        else:
            lines.append(f"{wanted.topic}: publisher {name} offers incompatible QoS: {reason}")
    return lines


def _name_of(publisher: TopicEndpointInfo) -> str:
    """The middleware tells of an endpoint before it tells whose it is; of a plain DDS program's it never does."""
    if publisher.node_name == _UNKNOWN_NODE:
        return "of a node not known (yet)"
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"


def image_topics(node: Node) -> list[str]:
    """Topics on which others publish images now, for a hint where the expected one does not exist."""
    kinds = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
    own = {publisher.topic_name for publisher in node.publishers}
    found = (name for name, types in node.get_topic_names_and_types() if kinds & set(types))
    return [name for name in found if name not in own and node.count_publishers(name)]
