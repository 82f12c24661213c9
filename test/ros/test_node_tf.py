# SPDX-License-Identifier: Apache-2.0
"""Cones in the car's frame, once tf says where the camera sits."""

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from harness import FRAME_IDS, NodeProcess, painted, until
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

BLUE = 0
LEFT = painted((BLUE, (680, 320, 720, 400)))
RIGHT = painted((BLUE, (640, 320, 680, 400)))
# A camera that looks ahead, half a metre before base_link and one metre above it.
MOUNT = ("base_link", "zed_camera", (0.5, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0))
OPTICAL = ("zed_camera", FRAME_IDS[0], (0.0, 0.06, 0.0), (-0.5, 0.5, -0.5, 0.5))


def stated(parent, child, translation, rotation):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = translation
    turn.x, turn.y, turn.z, turn.w = rotation
    return message


@pytest.fixture
def tf(rig):
    """Publishers of /tf_static and /tf."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = rig.node.create_publisher(TFMessage, "/tf_static", latched)
    moving = rig.node.create_publisher(TFMessage, "/tf", 10)
    yield static, moving
    for publisher in (static, moving):
        rig.node.destroy_publisher(publisher)


@pytest.fixture
def node(engines, rig):
    with NodeProcess(**{"engine.directory": engines}) as node:
        rig.meet(node)
        rig.publish_infos()
        rig.status("stereo", lambda s: "tf has no chain from" in s.message)
        yield node


def test_cones_move_to_the_car_once_tf_has_a_chain_and_keep_their_spread(node, rig, tf):
    (seen,) = rig.answers(rig.publish_pair(LEFT, RIGHT), "cones")
    assert seen.header.frame_id == FRAME_IDS[0]

    static, moving = tf
    static.publish(TFMessage(transforms=[stated(*OPTICAL)]))

    def placed():
        # A broadcaster that states a fixed mount on /tf, over and over.
        moving.publish(TFMessage(transforms=[stated(*MOUNT)]))
        (message,) = rig.answers(rig.publish_pair(LEFT, RIGHT), "cones")
        return message if message.header.frame_id == "base_link" else None

    found = until(placed, "cones in base_link")
    optical, base = (m.detections[0].results[0].pose for m in (seen, found))
    o, b = optical.pose.position, base.pose.position
    np.testing.assert_allclose((b.x, b.y, b.z), (o.z + 0.5, -o.x + 0.06, -o.y + 1.0), atol=1e-9)
    spread, turned = (np.reshape(p.covariance, (6, 6))[:3, :3] for p in (optical, base))
    # x ahead is the optical z, y left its -x, z up its -y.
    axes = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    np.testing.assert_allclose(turned, axes @ spread @ axes.T, rtol=1e-9, atol=1e-15)
    body = found.detections[0].bbox.center
    assert body.position.z > b.z
    assert body.orientation.w == 1.0

    rig.status("stereo", lambda s: s.message == "cones are located")
    assert moving.get_subscription_count() == 1

    static.publish(TFMessage(transforms=[stated(*MOUNT)]))
    until(lambda: moving.get_subscription_count() == 0, "end of the subscription to /tf")


def test_cones_stay_with_the_camera_where_the_target_turns_out_to_move(engines, rig, tf):
    static, moving = tf
    with NodeProcess(**{"engine.directory": engines, "stereo.target_frame": "odom"}) as node:
        rig.meet(node)
        rig.publish_infos()
        static.publish(TFMessage(transforms=[stated(*OPTICAL), stated(*MOUNT)]))

        def frame_with_car_at(x):
            moving.publish(TFMessage(transforms=[stated("odom", "base_link", (x, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))]))
            (message,) = rig.answers(rig.publish_pair(LEFT, RIGHT), "cones")
            return message.header.frame_id

        until(lambda: frame_with_car_at(1.0) == "odom", "cones in odom while the car stands still")
        until(lambda: frame_with_car_at(2.0) == FRAME_IDS[0], "cones in the camera's frame")
        status = rig.status("stereo", lambda s: "moves in 'odom' in tf" in s.message)
        assert status.level == status.WARN
        assert "a frame that is fixed to the car" in status.message
        until(lambda: moving.get_subscription_count() == 0, "end of the subscription to /tf")
