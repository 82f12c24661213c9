# SPDX-License-Identifier: Apache-2.0
"""What a running node publishes for what the cameras show."""

import math

import numpy as np
import pytest
from harness import BASELINE, FOCAL, FRAME_IDS, NodeProcess, blank_image, boxes_of, painted, values_of
from sensor_msgs.msg import Image

from cone_detector.classes import CLASS_HEIGHTS_M, CLASS_NAMES
from cone_detector.latency import STAGES

BLUE, LARGE, ORANGE, UNKNOWN, YELLOW = range(5)


@pytest.fixture(scope="module")
def node(engines, rig):
    # Patches have no cone's outline, which the refinement of disparity looks for.
    parameters = {"stereo.target_frame": "", "stereo.refine": False, "policy.name": "cascade"}
    with NodeProcess(**{"engine.directory": engines, **parameters}) as node:
        rig.meet(node)
        rig.publish_infos()
        rig.status("stereo", lambda status: "located" in status.message)
        yield node


def cone_box(depth, label, column, disparity):
    """A box, as a cone `depth` metres ahead shows itself with its base on row 400, on multiples of four pixels."""
    height = 4 * round(FOCAL * CLASS_HEIGHTS_M[label] / depth / 4)
    x = column - disparity
    return (x, 400 - height, x + 4 * (height // 6), 400)


def test_boxes_are_those_of_the_painted_cones_and_sides_are_not_swapped(node, rig):
    left = painted((BLUE, (200, 300, 240, 360)), (YELLOW, (900, 312, 936, 372)))
    right = painted((ORANGE, (40, 420, 80, 480)), (LARGE, (400, 200, 480, 380)))
    stamp = rig.publish_pair(left, right)
    of_left, of_right = rig.answers(stamp)
    assert boxes_of(of_left) == {"blue_cone": (200, 300, 240, 360), "yellow_cone": (900, 312, 936, 372)}
    assert boxes_of(of_right) == {"orange_cone": (40, 420, 80, 480), "large_orange_cone": (400, 200, 480, 380)}


def test_an_answer_bears_the_stamp_and_the_frame_of_its_own_image(node, rig):
    image = painted((BLUE, (200, 300, 240, 360)))
    stamp = rig.publish_pair(image, image, skew_ns=2_000_000)
    (left,), (right,) = rig.answers(stamp, "detections/left"), rig.answers(stamp + 2_000_000, "detections/right")
    assert (left.header.frame_id, right.header.frame_id) == FRAME_IDS
    assert left.detections[0].header == left.header
    assert left.detections[0].results[0].hypothesis.score == pytest.approx(0.95)


def test_a_pair_without_cones_is_answered_too(node, rig):
    stamp = rig.publish_pair(blank_image(), blank_image())
    left, right, cones, latency = rig.answers(stamp, "detections/left", "detections/right", "cones", "latency")
    assert [len(m.detections) for m in (left, right, cones)] == [0, 0, 0]
    assert values_of(latency.status[0])["reason"].startswith("nothing seen")


@pytest.mark.parametrize("encoding", ["bgr8", "8UC3", "rgb8", "bgra8", "rgba8"])
@pytest.mark.parametrize("padding", [0, 60], ids=["tight rows", "padded rows"])
def test_every_encoding_shows_the_same_cones(node, rig, encoding, padding):
    bgr = painted((BLUE, (200, 300, 240, 360)), (YELLOW, (900, 312, 936, 372)))
    order = [2, 1, 0] if encoding.startswith("rgb") else [0, 1, 2]
    channels = bgr[..., order]
    if encoding.endswith("a8"):
        channels = np.dstack([channels, np.full(bgr.shape[:2], 255, np.uint8)])
    rows = np.zeros((bgr.shape[0], channels[0].size + padding), np.uint8)
    rows[:, : channels[0].size] = channels.reshape(bgr.shape[0], -1)
    stamp = rig.now_ns()
    for side in (0, 1):
        message = Image(height=bgr.shape[0], width=bgr.shape[1], encoding=encoding, step=rows.shape[1])
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        message.data.frombytes(rows.tobytes())
        rig.publish(side, message)
    for message in rig.answers(stamp):
        assert boxes_of(message) == {"blue_cone": (200, 300, 240, 360), "yellow_cone": (900, 312, 936, 372)}


def test_grey_images_are_taken(node, rig):
    grey = np.full((720, 1280), 60, np.uint8)
    grey[300:360, 200:240] = 160
    stamp = rig.publish_pair(grey, grey, encoding="mono8")
    for message in rig.answers(stamp):
        assert boxes_of(message) == {"unknown_cone": (200, 300, 240, 360)}


@pytest.mark.parametrize(("label", "disparity"), [(BLUE, 40), (LARGE, 28), (YELLOW, 16)])
def test_a_cone_in_both_images_is_located_with_covariance(node, rig, label, disparity):
    depth = FOCAL * BASELINE / disparity
    left, right = (cone_box(depth, label, 680, shift) for shift in (0, disparity))
    stamp = rig.publish_pair(painted((label, left)), painted((label, right)))
    (message,) = rig.answers(stamp, "cones")
    assert message.header.frame_id == FRAME_IDS[0]
    (cone,) = message.detections
    place, result = cone.results[0].pose.pose.position, cone.results[0]
    assert result.hypothesis.class_id == CLASS_NAMES[label]
    assert place.z == pytest.approx(depth, rel=0.05)
    # The centre of the base, which is the middle of the box's lower edge.
    assert place.x == pytest.approx(((left[0] + left[2]) / 2 - 640) * depth / FOCAL, abs=0.05)
    assert place.y == pytest.approx((400 - 360) * depth / FOCAL, abs=0.05)
    covariance = np.reshape(result.pose.covariance, (6, 6))
    assert (np.linalg.eigvalsh(covariance[:3, :3]) > 0).all()
    np.testing.assert_allclose(covariance, covariance.T)
    assert not covariance[3:].any()
    # The body stands on its base; up is -y in an optical frame.
    body, height = cone.bbox.center.position, CLASS_HEIGHTS_M[label]
    assert (body.x, body.y, body.z) == pytest.approx((place.x, place.y - height / 2, place.z))
    assert cone.bbox.size.z == pytest.approx(height)


def test_points_and_markers_are_the_cones(node, rig):
    cones = ((BLUE, 160), (YELLOW, 420))
    left, right = (painted(*((label, cone_box(4.2, label, x, shift)) for label, x in cones)) for shift in (0, 20))
    stamp = rig.publish_pair(left, right)
    cones, points = rig.answers(stamp, "cones", "cones/points")
    assert len(cones.detections) == 2
    names = [field.name for field in points.fields]
    assert names == ["x", "y", "z", "rgb", "class_id", "score"]
    table = np.frombuffer(bytes(points.data), np.float32).reshape(2, 6)
    places = [c.results[0].pose.pose.position for c in cones.detections]
    np.testing.assert_allclose(table[:, :3], [(p.x, p.y, p.z) for p in places], rtol=1e-6)
    assert table.view(np.uint32)[:, 4].tolist() == [BLUE, YELLOW]
    clear, *rest = rig.until_received("cones/markers", lambda m: m.markers[0].header == cones.header).markers
    assert clear.action == clear.DELETEALL
    assert [(m.scale.z, m.ns) for m in rest] == [(CLASS_HEIGHTS_M[BLUE], "cones"), (CLASS_HEIGHTS_M[YELLOW], "cones")]
    assert rest[0].color.b > rest[0].color.r
    assert rest[1].color.r > rest[1].color.b


def test_latency_tells_every_stage_and_why_each_pass_ran(node, rig):
    stamp = rig.publish_pair(painted((BLUE, (200, 300, 240, 360))), blank_image())
    status = rig.answers(stamp, "latency")[0].status[0]
    values = values_of(status)
    stages = {stage: float(values[f"{stage}_ms"]) for stage in STAGES}
    parts = sum(stages[name] for name in ("wait", "inference", "nms", "stereo", "publish"))
    assert 0 < parts <= stages["total"]
    assert stages["total"] <= float(values["age_ms"])
    assert values["passes"].startswith("320 (")
    assert values["passes"].endswith("), 640 (nothing seen right)")
    assert (values["resolution"], values["reason"]) == ("640", "nothing seen right")
    assert (values["escalated"], values["left"], values["right"]) == ("true", "1", "0")
    assert values["device"].startswith("CPU")


def test_plots_follow_the_latency_topic(node, rig):
    stamp = rig.publish_pair(blank_image(), blank_image())
    values = values_of(rig.answers(stamp, "latency")[0].status[0])
    for name in ("total_ms", "inference_ms", "age_ms"):
        expected = float(values[name])
        rig.until_received(f"latency/{name}", lambda m, x=expected: math.isclose(m.data, x, abs_tol=1e-3, rel_tol=1e-6))


def test_tracked_cones_keep_their_ids_and_are_bridged(node, rig):
    assert rig.set_parameter("stereo.tracking", True).successful
    left, right = (painted((BLUE, cone_box(4.2, BLUE, 160, shift))) for shift in (0, 20))
    try:
        # The first frame is not confirmed yet, and the last one shows nothing.
        pictures = [(left, right)] * 3 + [(blank_image(), blank_image())]
        ids = [[c.id for c in rig.answers(rig.publish_pair(*pair), "cones")[0].detections] for pair in pictures]
    finally:
        assert rig.set_parameter("stereo.tracking", False).successful
    assert ids == [[], ["0"], ["0"], ["0"]]
    assert [c.id for c in rig.answers(rig.publish_pair(left, right), "cones")[0].detections] == [""]


def test_diagnostics_say_what_runs_and_how(node, rig):
    rig.publish_pair(blank_image(), blank_image())
    values = values_of(rig.status("inference", lambda s: float(values_of(s)["rate (Hz)"]) > 0))
    assert (values["engine"], values["precision"], values["runtime"]) == ("patches", "fp32", "openvino")
    assert values["device"].startswith("CPU")
    assert "patches from" in values["chosen"]
    assert 0 < float(values["escalated (%)"]) <= 100
    assert int(values["passes of 320"]) >= int(values["passes of 640"]) > 0
    assert len(values["inference p50/p95/p99 (ms)"].split("/")) == 3
    inputs = values_of(rig.status("input"))
    assert {"pairs", "dropped pairs", "unpaired left", "skew (ms)", "rate left/image (Hz)"} <= inputs.keys()


def test_the_picture_shows_the_cones_to_who_subscribes(node, rig):
    rig.record("image_annotated", Image)
    box = (200, 300, 240, 360)
    left = painted((BLUE, box))
    stamp = rig.until_answered(lambda: rig.publish_pair(left, blank_image()), "image_annotated")
    picture = rig.wait("image_annotated", stamp)
    assert (picture.width, picture.height, picture.encoding) == (2560, 720, "bgr8")
    pixels = np.frombuffer(bytes(picture.data), np.uint8).reshape(720, 2560, 3)
    changed = (pixels[:, :1280] != left).any(axis=2)
    assert changed[298:302, 205:235].any(), "no box is drawn"
    assert not changed[500:, :1270].any()
    rig.forget("image_annotated")
