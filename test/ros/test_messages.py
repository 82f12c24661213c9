# SPDX-License-Identifier: Apache-2.0
"""Results as messages: what is in them, and that a message filled again holds nothing of the frame before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from cone_detector.classes import CLASS_HEIGHTS_M, CLASS_NAMES
from cone_detector.detections import Cones, Detections
from cone_detector.messages import (
    ConesMessage,
    DetectionsMessage,
    MarkersMessage,
    StatusMessage,
    image_message,
    points_message,
    text_of,
)

UP, OPTICAL_UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
HEADER = Header(frame_id="camera")


def detections(count, seed=0):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 1000, (count, 2)), rng.uniform(2, 90, (count, 2))
    xyxy = np.hstack([corner, corner + size]).astype(np.float32)
    return Detections(xyxy, rng.uniform(0, 1, count).astype(np.float32), rng.integers(0, 5, count))


def cones(count, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, 3, 3))
    indices = np.arange(count)
    return Cones(
        rng.uniform(-5, 20, (count, 3)),
        root @ root.transpose(0, 2, 1),
        rng.uniform(0, 1, count).astype(np.float32),
        rng.integers(0, 5, count),
        np.ones(count),
        np.ones(count),
        indices,
        indices,
    )


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6))
def test_a_detections_message_is_that_of_its_last_fill(counts):
    message = DetectionsMessage()
    for seed, count in enumerate(counts):
        found = detections(count, seed)
        filled = message.fill(found, Header(frame_id=str(seed)))
    assert len(filled.detections) == count
    for part, box, score, label in zip(filled.detections, found.xyxy, found.score, found.label, strict=True):
        centre = part.bbox.center.position
        half = np.array([part.bbox.size_x, part.bbox.size_y]) / 2
        np.testing.assert_allclose([centre.x - half[0], centre.y - half[1]], box[:2], atol=1e-3)
        np.testing.assert_allclose([centre.x + half[0], centre.y + half[1]], box[2:], atol=1e-3)
        (result,) = part.results
        assert (result.hypothesis.class_id, result.hypothesis.score) == (CLASS_NAMES[label], score)
        assert part.header.frame_id == filled.header.frame_id == str(seed)


@pytest.mark.parametrize(
    "up", [UP, OPTICAL_UP, np.array([0.6, 0.0, 0.8]), -UP], ids=["body", "optical", "slope", "down"]
)
def test_cones_stand_on_their_position_and_point_up(up):
    found = cones(7)
    parts = ConesMessage().fill(found, HEADER, up).detections
    for part, position, covariance, label in zip(parts, found.position, found.covariance, found.label, strict=True):
        pose, body = part.results[0].pose, part.bbox.center
        base = pose.pose.position
        np.testing.assert_allclose((base.x, base.y, base.z), position)
        centre = np.array((body.position.x, body.position.y, body.position.z))
        np.testing.assert_allclose(centre, position + up * CLASS_HEIGHTS_M[label] / 2)
        q = body.orientation
        np.testing.assert_allclose(Rotation.from_quat((q.x, q.y, q.z, q.w)).apply(UP), up, atol=1e-12)
        full = np.reshape(pose.covariance, (6, 6))
        np.testing.assert_allclose(full[:3, :3], covariance)
        assert not full[3:].any()
        assert not full[:, 3:].any()


def test_only_tracked_cones_bear_an_id():
    message = ConesMessage()
    assert [part.id for part in message.fill(cones(2), HEADER, UP, [7, 12]).detections] == ["7", "12"]
    assert [part.id for part in message.fill(cones(3), HEADER, UP).detections] == ["", "", ""]


def test_markers_clear_those_of_the_frame_before():
    message = MarkersMessage()
    message.fill(cones(5), HEADER, UP)
    clear, *rest = message.fill(cones(2, seed=1), HEADER, UP).markers
    assert clear.action == clear.DELETEALL
    assert [(marker.id, marker.action) for marker in rest] == [(0, 0), (1, 0)]
    _, *tracked = message.fill(cones(2, seed=1), HEADER, UP, ids=[7, 2**31 + 3]).markers
    assert [marker.id for marker in tracked] == [7, 3]
    assert all(marker.color.a > 0 for marker in rest)


def test_markers_of_a_camera_or_node_that_died_expire():
    _, marker = MarkersMessage().fill(cones(1), HEADER, UP).markers
    assert 0 < marker.lifetime.sec + marker.lifetime.nanosec / 1e9 <= 1.0


@pytest.mark.parametrize("count", [0, 3])
def test_points_hold_the_cones(count):
    found = cones(count)
    message = points_message(found, HEADER)
    assert (message.width, message.height) == (count, 1)
    assert len(message.data) == message.row_step * message.height == message.point_step * count
    at = {field.name: field.offset for field in message.fields}
    for n, (position, score, label) in enumerate(zip(found.position, found.score, found.label, strict=True)):
        point = bytes(message.data[n * message.point_step : (n + 1) * message.point_step])
        xyz = np.frombuffer(point, np.float32, 3, at["x"])
        np.testing.assert_allclose(xyz, position, rtol=1e-6)
        assert np.frombuffer(point, np.uint32, 1, at["class_id"]) == label
        assert np.frombuffer(point, np.float32, 1, at["score"]) == score


def test_an_image_message_holds_the_pixels_also_of_a_view():
    whole = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    view = whole[::2, 3:33]
    message = image_message(view, HEADER)
    assert (message.height, message.width, message.step, message.encoding) == (10, 30, 90, "bgr8")
    np.testing.assert_array_equal(np.frombuffer(bytes(message.data), np.uint8).reshape(view.shape), view)


def test_a_status_message_keeps_its_keys_and_changes_its_values():
    message = StatusMessage("cone_detector: latency")
    message.fill({"a": 1.0, "b": "x"}, HEADER.stamp, "first")
    (status,) = message.fill({"a": 2.0, "b": True}, HEADER.stamp, "second").status
    assert [(pair.key, pair.value) for pair in status.values] == [("a", "2.000"), ("b", "true")]
    assert (status.name, status.message, status.hardware_id) == ("cone_detector: latency", "second", "")


@pytest.mark.parametrize(
    ("value", "text"), [(1.23456, "1.235"), (float("nan"), "nan"), (3, "3"), (False, "false"), ("", "")]
)
def test_values_as_text(value, text):
    assert text_of(value) == text
