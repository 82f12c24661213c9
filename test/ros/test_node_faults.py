# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a car while the node runs: it costs frames, is reported with its cause, and the node goes on."""

import time
from functools import partial

import numpy as np
import pytest
from harness import FRAME_IDS, NodeProcess, blank_image, boxes_of, image_of, painted, values_of

BLUE, ORANGE = 0, 2
LEFT_BOX, RIGHT_BOX = (200, 300, 240, 360), (180, 300, 220, 360)


@pytest.fixture(scope="module")
def node(engines, rig):
    with NodeProcess(**{"engine.directory": engines}) as node:
        rig.meet(node)
        yield node


@pytest.fixture(autouse=True)
def goes_on(node, rig):
    """After every fault the next good pair is answered, rightly, by the process that was started first."""
    yield
    stamp = rig.publish_pair(painted((BLUE, LEFT_BOX)), painted((BLUE, RIGHT_BOX)))
    left, right = rig.answers(stamp)
    assert (boxes_of(left), boxes_of(right)) == ({"blue_cone": LEFT_BOX}, {"blue_cone": RIGHT_BOX})
    assert node.process.poll() is None


def at_ten_hertz(rig, skew_ns=0):
    rig.publish_pair(blank_image(), blank_image(), skew_ns=skew_ns)
    time.sleep(0.1)


def good():
    return image_of(blank_image(), time.time_ns())


def changed(**fields):
    message = good()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


BAD_IMAGES = {
    "truncated": (lambda: changed(data=good().data[:1000]), "image data has 1000 bytes"),
    "no data": (lambda: changed(data=[]), "image data has 0 bytes"),
    "no size": (lambda: changed(width=0, height=0), "image size 0x0 is not positive"),
    "unknown encoding": (lambda: changed(encoding="bayer_rggb8"), "encoding 'bayer_rggb8' is not supported"),
    "empty encoding": (lambda: changed(encoding=""), "encoding '' is not supported"),
    "step too small": (lambda: changed(step=100), "step 100 is smaller than a row"),
    "size larger than data": (lambda: changed(height=10_000), "needs"),
}


@pytest.mark.parametrize("side", [0, 1], ids=["left", "right"])
@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_an_unusable_image_is_reported_with_its_cause(node, rig, fault, side):
    make, cause = BAD_IMAGES[fault]
    rig.publish(side, make())
    rig.publish(1 - side, good())
    key = f"last fault image {('left', 'right')[side]}"
    status = rig.status("input", lambda s: cause in values_of(s).get(key, ""))
    assert int(values_of(status)[key.replace("last fault", "faults")]) > 0


def test_a_camera_that_stops_is_named_and_its_return_is_noticed(node, rig):
    def only_left():
        rig.publish(0, image_of(blank_image(), rig.now_ns()))
        time.sleep(0.05)

    status = rig.status_while(only_left, "input", lambda s: "no image on right/image" in s.message)
    assert status.level == status.ERROR
    unpaired = int(values_of(status)["unpaired left"])
    assert unpaired > 0

    def both_again():
        rig.answers(rig.publish_pair(blank_image(), blank_image()))

    both = rig.status_while(both_again, "input", lambda s: s.message == "both cameras in step")
    assert both.level == both.OK


def test_stamps_that_jump_back_are_paired_again(node, rig):
    before = int(values_of(rig.status("input"))["stamps that jumped back"])
    start = rig.now_ns() - 60_000_000_000
    image = painted((BLUE, LEFT_BOX))
    for loop in range(2):
        for n in range(3):
            stamp = rig.publish_pair(image, image, stamp_ns=start + n * 33_000_000)
            left, right = (rig.wait(topic, stamp, loop) for topic in ("detections/left", "detections/right"))
            assert boxes_of(left) == boxes_of(right) == {"blue_cone": LEFT_BOX}
    rig.status("input", lambda s: int(values_of(s)["stamps that jumped back"]) >= before + 2)


def test_images_too_far_apart_are_no_pair_and_the_tolerance_is_named(node, rig):
    skewed = partial(at_ten_hertz, rig, skew_ns=20_000_000)
    status = rig.status_while(skewed, "input", lambda s: s.message.startswith("no pairs"))
    assert status.level == status.ERROR
    assert "sync.tolerance_ms is 5" in status.message
    assert float(values_of(status)["nearest miss (ms)"]) <= 20.0


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (960, 600)])
def test_a_new_resolution_is_taken_up_at_once(node, rig, size):
    image = blank_image(*size)
    # Even canvas pixels wherever the image is scaled to: large, flat, and away from the border of a column.
    x1, y1, x2, y2 = (round(v * s) for v, s in zip((0.42, 0.4, 0.48, 0.7), size * 2, strict=True))
    image[y1:y2, x1:x2] = (255, 80, 0)
    stamp = rig.publish_pair(image, image)
    for message in rig.answers(stamp):
        assert boxes_of(message)["blue_cone"] == pytest.approx((x1, y1, x2, y2), abs=2.5 * size[0] / 640)


def test_a_new_encoding_is_taken_up_at_once(node, rig):
    bgr = painted((ORANGE, LEFT_BOX))
    for encoding, pixels in (("bgr8", bgr), ("rgb8", bgr[..., ::-1]), ("bgr8", bgr)):
        stamp = rig.publish_pair(pixels, pixels, encoding=encoding)
        assert [boxes_of(m) for m in rig.answers(stamp)] == [{"orange_cone": LEFT_BOX}] * 2


def test_cameras_of_different_size_are_still_two_dimensional(node, rig):
    small = np.ascontiguousarray(painted((BLUE, LEFT_BOX))[::2, ::2])
    stamp = rig.publish_pair(painted((BLUE, LEFT_BOX)), small)
    left, right = rig.answers(stamp)
    assert boxes_of(left) == {"blue_cone": LEFT_BOX}
    assert boxes_of(right) == {"blue_cone": tuple(v / 2 for v in LEFT_BOX)}


def test_missing_camera_info_means_2d_and_says_so(engines, rig, node):
    stamp = rig.publish_pair(painted((BLUE, LEFT_BOX)), painted((BLUE, RIGHT_BOX)))
    reason = "no CameraInfo on left/camera_info and right/camera_info yet"
    assert values_of(rig.answers(stamp, "latency")[0].status[0])["no_cones_reason"] == reason
    status = rig.status("stereo")
    assert (status.level, status.message) == (status.WARN, f"2D only: {reason}")
    (cones,) = rig.answers(stamp, "cones")
    assert not cones.detections
    assert cones.header.frame_id == FRAME_IDS[0]


def test_a_useless_calibration_is_refused_with_the_reason_until_a_good_one_comes(node, rig):
    rig.publish_infos(baseline=0.0)
    assert "baseline" in rig.status("stereo", lambda s: "baseline" in s.message).message
    rig.publish_infos(width=640, height=360)
    rig.status("stereo", lambda s: "2D only" not in s.message)
    stamp = rig.publish_pair(painted((BLUE, LEFT_BOX)), painted((BLUE, RIGHT_BOX)))
    reason = values_of(rig.answers(stamp, "latency")[0].status[0])["no_cones_reason"]
    assert "1280x720" in reason
    pair = painted((BLUE, LEFT_BOX)), painted((BLUE, RIGHT_BOX))
    status = rig.status_while(lambda: rig.publish_pair(*pair), "stereo", lambda s: "1280x720" in s.message)
    assert (status.level, status.message) == (status.WARN, f"2D only: {reason}")
    rig.publish_infos()
    rig.status("stereo", lambda s: values_of(s)["no_cones"] == "")
