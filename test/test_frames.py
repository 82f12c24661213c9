# SPDX-License-Identifier: Apache-2.0
"""Frames are views of the message's bytes, in every encoding, with any row step."""

import array

import cv2
import numpy as np
import pytest

from cone_detector.frames import FrameError, decode_image, split_side_by_side, view_image

BGR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def padded(rows: np.ndarray, padding: int) -> bytes:
    flat = rows.reshape(len(rows), -1)
    return np.pad(flat, ((0, 0), (0, padding)), constant_values=255).tobytes()


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "to_camera"),
    [
        ("bgr8", None),
        ("8UC3", None),
        ("rgb8", cv2.COLOR_BGR2RGB),
        ("bgra8", cv2.COLOR_BGR2BGRA),
        ("8UC4", cv2.COLOR_BGR2BGRA),
        ("rgba8", cv2.COLOR_BGR2RGBA),
    ],
)
def test_colour_encodings_give_the_same_bgr(encoding, to_camera, padding):
    sent = BGR if to_camera is None else cv2.cvtColor(BGR, to_camera)
    data = padded(sent, padding)
    frame = view_image(data, width=8, height=6, encoding=encoding, step=sent[0].size + padding)
    np.testing.assert_array_equal(frame.bgr(), BGR)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding, padding):
    grey = BGR[..., 0]
    frame = view_image(padded(grey, padding), width=8, height=6, encoding=encoding, step=8 + padding)
    np.testing.assert_array_equal(frame.bgr(), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("order", "is_bigendian"), [(">u2", True), ("<u2", False)])
def test_sixteen_bit_grey_uses_the_high_byte_of_its_byte_order(order, is_bigendian):
    deep = (BGR[..., 0].astype(np.uint16) << 8 | 17).astype(order)
    frame = view_image(deep.tobytes(), width=8, height=6, encoding="mono16", is_bigendian=is_bigendian)
    np.testing.assert_array_equal(frame.pixels, BGR[..., 0])


def test_no_byte_is_copied_from_what_rclpy_delivers():
    data = array.array("B", BGR.tobytes())
    frame = view_image(data, width=8, height=6, encoding="bgr8")
    data[0] ^= 255
    assert frame.pixels[0, 0, 0] == data[0]


def test_the_last_row_needs_no_padding():
    data = padded(BGR, 4)[:-4]
    assert view_image(data, width=8, height=6, encoding="bgr8", step=28).size == (8, 6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"encoding": "yuv422"}, "yuv422"),
        ({"encoding": ""}, "encoding ''"),
        ({"width": 0}, "0x6"),
        ({"height": 0}, "8x0"),
        ({"step": 23}, "step 23"),
        ({"data": b""}, "0 bytes"),
        ({"data": BGR.tobytes()[:-1]}, "143 bytes"),
        ({"encoding": "bgra8"}, "192"),
    ],
)
def test_a_bad_image_is_refused_with_the_value_named(change, named):
    fields = {"data": BGR.tobytes(), "width": 8, "height": 6, "encoding": "bgr8"} | change
    data = fields.pop("data")
    with pytest.raises(FrameError, match=named):
        view_image(data, **fields)


def test_compressed_images_are_decoded_to_bgr():
    png = cv2.imencode(".png", BGR)[1]
    np.testing.assert_array_equal(decode_image(png.tobytes(), "png").bgr(), BGR)


@pytest.mark.parametrize("data", [b"", b"not an image", cv2.imencode(".png", BGR)[1].tobytes()[:20]])
def test_a_broken_compressed_image_is_refused(data):
    with pytest.raises(FrameError, match=f"{len(data)} bytes, format 'jpeg'"):
        decode_image(data, "jpeg")


def test_a_side_by_side_image_splits_into_views():
    left, right = split_side_by_side(view_image(BGR.tobytes(), width=8, height=6, encoding="bgr8"))
    np.testing.assert_array_equal(left.pixels, BGR[:, :4])
    np.testing.assert_array_equal(right.pixels, BGR[:, 4:])
    odd = view_image(BGR[:, :7].tobytes(), width=7, height=6, encoding="bgr8")
    with pytest.raises(FrameError, match="odd width"):
        split_side_by_side(odd)
