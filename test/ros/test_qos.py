# SPDX-License-Identifier: Apache-2.0
"""How a publisher that does not fit is named, before and after its node has been discovered."""

from types import SimpleNamespace

import pytest
from rclpy.topic_endpoint_info import TopicEndpointInfo

from cone_detector.ros.qos import INFO_QOS, Wanted, find_misfits

WANTED = Wanted("/left/image", "sensor_msgs/msg/Image", INFO_QOS, "topics.left_image")


@pytest.mark.parametrize(
    ("namespace", "name", "named"),
    [
        ("/zed", "camera", "/zed/camera"),
        ("/", "camera", "/camera"),
        ("_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_", "of a node not known (yet)"),
    ],
)
def test_a_publisher_is_named_by_its_node_once_that_is_known(namespace, name, named):
    publisher = TopicEndpointInfo(node_namespace=namespace, node_name=name, topic_type="std_msgs/msg/Empty")
    graph = SimpleNamespace(get_publishers_info_by_topic=lambda _topic: [publisher])
    (line,) = find_misfits(graph, WANTED)
    assert line.startswith(f"/left/image: publisher {named} sends std_msgs/msg/Empty, ")
