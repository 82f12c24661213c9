# SPDX-License-Identifier: Apache-2.0
"""The ways in which images come to the node, and publishers from which none can come."""

import re
import time
from contextlib import contextmanager
from itertools import cycle

import numpy as np
import pytest
from harness import FRAME_IDS, NodeProcess, blank_image, boxes_of, image_of, jpeg_of, painted, time_of, values_of
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from cone_detector.ros.inputs import Inputs
from cone_detector.settings import Settings

BLUE, YELLOW = 0, 4
LEFT_BOX, RIGHT_BOX = (200, 300, 240, 360), (900, 312, 936, 372)
LEFT, RIGHT = painted((BLUE, LEFT_BOX)), painted((YELLOW, RIGHT_BOX))

COMPRESSED = {"input.compressed": True, "topics.left_image": "l", "topics.right_image": "r"}
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


@contextmanager
def publishers(rig, kind, *topics, qos=5):
    made = [rig.node.create_publisher(kind, topic, qos) for topic in topics]
    try:
        yield made
    finally:
        for publisher in made:
            rig.node.destroy_publisher(publisher)


def answered(rig, send):
    """Detections of the first pair that is answered: `send` takes a stamp."""

    def send_now():
        stamp = rig.now_ns()
        send(stamp)
        return stamp

    return [boxes_of(message) for message in rig.answers(rig.until_answered(send_now, "detections/right"))]


EXPECTED = [{"blue_cone": LEFT_BOX}, {"yellow_cone": RIGHT_BOX}]


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_one_wide_image_is_both_cameras(engines, rig, compressed):
    kind, make, topic = (CompressedImage, jpeg_of, "wide/png") if compressed else (Image, image_of, "wide/raw")
    parameters = {"input.mode": "side_by_side", "input.compressed": compressed, "topics.side_by_side": topic}
    wide = np.hstack([LEFT, RIGHT])
    with publishers(rig, kind, topic) as (camera,), NodeProcess(**{"engine.directory": engines, **parameters}):
        assert answered(rig, lambda stamp: camera.publish(make(wide, stamp))) == EXPECTED


def test_an_odd_wide_image_and_a_broken_file_are_reported(engines, rig):
    parameters = {"engine.directory": engines, "input.mode": "side_by_side", "input.compressed": True}
    with publishers(rig, CompressedImage, "side_by_side/image") as (camera,), NodeProcess(**parameters):
        odd = jpeg_of(np.zeros((20, 41, 3), np.uint8), 1)
        broken = CompressedImage(format="jpeg", data=b"no picture")
        for message, cause in ((odd, "41x20 has an odd width"), (broken, "10 bytes, format 'jpeg', cannot be decoded")):
            rig.status_while(
                lambda message=message: (camera.publish(message), time.sleep(0.1)),
                "input",
                lambda s, cause=cause: cause in s.message,
            )
        wide = np.hstack([LEFT, RIGHT])
        assert answered(rig, lambda stamp: camera.publish(jpeg_of(wide, stamp))) == EXPECTED


def test_compressed_pairs_are_decoded(engines, rig):
    parameters = {"engine.directory": engines, **COMPRESSED}
    with publishers(rig, CompressedImage, "l", "r") as cameras, NodeProcess(**parameters):

        def send(stamp):
            for camera, image, frame_id in zip(cameras, (LEFT, RIGHT), FRAME_IDS, strict=True):
                camera.publish(jpeg_of(image, stamp, frame_id))

        assert answered(rig, send) == EXPECTED
        latency = rig.received["latency"][-1].status[0]
        assert float(values_of(latency)["decode_ms"]) > 0
        assert float(values_of(latency)["total_ms"]) > float(values_of(latency)["decode_ms"])


def test_compressed_pairs_that_come_too_fast_are_dropped_as_pairs_and_counted(engines, rig):
    parameters = {"engine.directory": engines, **COMPRESSED}
    # Nothing takes longer to decode than noise.
    noise = jpeg_of(np.random.default_rng(0).integers(0, 256, LEFT.shape, np.uint8), 0)
    with publishers(rig, CompressedImage, "l", "r") as cameras, NodeProcess(**parameters):

        def send():
            noise.header.stamp = time_of(rig.now_ns())
            for camera in cameras:
                camera.publish(noise)

        status = rig.status_while(send, "input", lambda s: "pairs dropped undecoded" in s.message)
        values = {key: float(value) for key, value in values_of(status).items() if key.startswith(("dropped", "pairs"))}
        assert 0 < values["dropped undecoded"] <= values["dropped pairs"] < values["pairs"]


def test_a_long_history_has_no_more_memory_touched_than_images_pile_up(rig, monkeypatch):
    sizes = []
    monkeypatch.setattr("cone_detector.ros.inputs.reserve", sizes.append)
    for depth in (1, 5, 100):
        inputs = Inputs(rig.node, Settings({"qos.depth": depth}), offer=None, on_fault=None)
        inputs.open()
        inputs.close()
    short, usual, long = sizes
    assert short < usual == long


def test_publishers_that_do_not_fit_are_named_with_the_setting(engines, rig):
    parameters = {
        "engine.directory": engines,
        "qos.reliability": "reliable",
        "topics.left_image": "lossy",
        "topics.right_image": "packed",
    }
    with (
        publishers(rig, Image, "lossy", qos=BEST_EFFORT),
        publishers(rig, CompressedImage, "packed"),
        NodeProcess(**parameters) as node,
    ):
        # An endpoint is discovered a moment before the name of its node.
        status = rig.status(
            "input", lambda s: "/lossy: publisher /rig" in s.message and "/packed: publisher /rig" in s.message
        )
        assert status.level == status.ERROR
        for text in (
            "/lossy: publisher /rig offers reliability best_effort, this node asks for reliable: set qos.reliability",
            "/packed: publisher /rig sends sensor_msgs/msg/CompressedImage, this node takes sensor_msgs/msg/Image: "
            "set input.compressed",
        ):
            assert text in status.message
            assert node.wait_for_log(text).count(text) == 1, "logged once, not every second"


def test_a_topic_without_publisher_is_named_with_those_that_exist(engines, rig):
    parameters = {"engine.directory": engines, "topics.left_image": "nowhere/image"}
    with NodeProcess(**parameters):
        status = rig.status("input", lambda s: "/nowhere/image has no publisher" in s.message)
    (others,) = re.findall(r"set topics.left_image \(image topics now: (.*?)\)", status.message)
    assert others.split(", ") == ["/left/image", "/right/image"]


def test_a_malformed_topic_name_ends_the_node_with_its_name(engines):
    with NodeProcess(**{"engine.directory": engines, "topics.left_image": "left image"}) as node:
        assert node.wait() == 1
        (line,) = [line for line in node.log.splitlines() if "FATAL" in line]
    assert "left image" in line


def test_images_that_get_lost_on_the_way_point_to_the_shared_memory_profile(engines, rig):
    """Gaps of whole periods between stamps, as a publisher without the profile leaves them."""
    with NodeProcess(**{"engine.directory": engines, "queue.depth": 4}) as node:
        rig.meet(node)
        stamp, image = rig.now_ns(), blank_image()
        gaps = cycle((1, 2, 3))

        def lossy():
            nonlocal stamp
            stamp += 33_000_000 * next(gaps)
            rig.publish_pair(image, image, stamp_ns=stamp)
            time.sleep(0.03)

        status = rig.status_while(lossy, "transport", lambda s: s.level == s.WARN)
    assert "of the images sent do not arrive" in status.message
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in status.message
    assert "fastdds_shm.xml" in status.message
