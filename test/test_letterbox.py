# SPDX-License-Identifier: Apache-2.0
"""The letterbox keeps the aspect, pads evenly, and its boxes map back to the camera image."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cone_detector.frames import Frame, split_side_by_side, view_image
from cone_detector.letterbox import PADDING_VALUE, Letterbox, LetterboxWriter

CANVAS = (640, 384)


@pytest.mark.parametrize(
    ("source", "scaled", "offset"),
    [
        ((1280, 720), (640, 360), (0, 12)),  # the ZED 2i
        ((640, 360), (640, 360), (0, 12)),
        ((672, 376), (640, 358), (0, 13)),  # ZED VGA
        ((1920, 1200), (614, 384), (13, 0)),  # taller than the canvas: bars left and right
        ((320, 240), (512, 384), (64, 0)),  # smaller than the canvas: scaled up
        ((2208, 1242), (640, 360), (0, 12)),
    ],
)
def test_geometry(source, scaled, offset):
    box = Letterbox.fit(source, CANVAS)
    assert (box.scaled, box.offset) == (scaled, offset)


@pytest.mark.parametrize("size", [(0, 720), (1280, -1)])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match="must be positive"):
        Letterbox.fit(size, CANVAS)


@given(
    st.tuples(st.integers(64, 4000), st.integers(64, 4000)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_boxes_return_to_where_they_came_from(source, corners):
    x1, x2 = sorted((corners[0] * source[0], corners[2] * source[0]))
    y1, y2 = sorted((corners[1] * source[1], corners[3] * source[1]))
    box = Letterbox.fit(source, CANVAS)
    boxes = np.array([[x1, y1, x2, y2]], np.float32)
    np.testing.assert_allclose(box.to_source(box.to_canvas(boxes)), boxes, atol=source[0] * 1e-5 + 1e-2)


def test_boxes_that_reach_into_the_padding_are_clipped_to_the_image():
    box = Letterbox.fit((1280, 720), CANVAS)
    np.testing.assert_array_equal(
        box.to_source(np.array([[-5, 2, 700, 383]], np.float32)), np.array([[0, 0, 1280, 720]], np.float32)
    )


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "bgra8", "rgba8"])
def test_every_encoding_writes_the_same_canvas(encoding):
    bgr = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8), (0, 0), 2)
    to_camera = {"rgb8": cv2.COLOR_BGR2RGB, "bgra8": cv2.COLOR_BGR2BGRA, "rgba8": cv2.COLOR_BGR2RGBA}
    sent = cv2.cvtColor(bgr, to_camera[encoding]) if encoding in to_camera else bgr
    frame = view_image(sent.tobytes(), width=1280, height=720, encoding=encoding)
    canvas = np.zeros((384, 640, 3), np.uint8)
    LetterboxWriter().write(frame, canvas)
    expected = np.full_like(canvas, PADDING_VALUE)
    expected[12:372] = cv2.resize(bgr, (640, 360), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(canvas, expected)


def test_a_canvas_is_written_whole_when_the_camera_changes():
    writer, canvas = LetterboxWriter(), np.zeros((384, 640, 3), np.uint8)
    writer.write(Frame(np.full((384, 640, 3), 9, np.uint8)), canvas)
    box = writer.write(Frame(np.full((480, 640, 3), 7, np.uint8)), canvas)
    inside = canvas[:, box.offset[0] : box.offset[0] + box.scaled[0]]
    assert (inside == 7).all()
    assert (np.delete(canvas, np.s_[box.offset[0] : box.offset[0] + box.scaled[0]], axis=1) == PADDING_VALUE).all()


def test_half_of_a_side_by_side_image_is_written_without_its_neighbour():
    wide = np.zeros((720, 2560, 3), np.uint8)
    wide[:, 1280:] = 200
    canvas = np.zeros((2, 384, 640, 3), np.uint8)
    for half, row in zip(split_side_by_side(Frame(wide)), canvas, strict=True):
        LetterboxWriter().write(half, row)
    assert (canvas[0, 12:372] == 0).all()
    assert (canvas[1, 12:372] == 200).all()


def test_a_steep_reduction_does_not_alias():
    """Thin stripes seen from far average to grey: sampling 2x2 pixels would show bands."""
    stripes = np.zeros((1536, 2560, 3), np.uint8)
    stripes[:, ::4] = 252
    canvas = np.zeros((384, 640, 3), np.uint8)
    LetterboxWriter().write(Frame(stripes), canvas)
    assert canvas.min() == canvas.max() == 63


@pytest.mark.parametrize("to_bgr", [None, cv2.COLOR_RGB2BGR])
@pytest.mark.parametrize(("top", "strip"), [(0, 64), (100, 64), (320, 64), (150, 96)])
@pytest.mark.parametrize("source", [(1280, 720), (1920, 1200), (672, 376)])
def test_a_close_up_shows_the_strip_in_more_detail(source, top, strip, to_bgr):
    """Averaged 2x2, a close-up is the strip of the canvas; padding is where the canvas has it."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (source[1] // 40, source[0] // 40, 3), np.uint8)
    frame = Frame(cv2.resize(coarse, source, interpolation=cv2.INTER_CUBIC), to_bgr)
    canvas = np.zeros((384, 640, 3), np.uint8)
    box = LetterboxWriter().write(frame, canvas)
    close_up = np.zeros((2 * strip, 1280, 3), np.uint8)
    LetterboxWriter().write_close_up(frame, box, top, strip, close_up)
    halved = cv2.resize(close_up, (640, strip), interpolation=cv2.INTER_AREA)
    difference = np.abs(halved.astype(int) - canvas[top : top + strip])
    assert difference.mean() < 3
    padding = (canvas == PADDING_VALUE).all(axis=(1, 2))[top : top + strip]
    assert (close_up.reshape(strip, -1)[padding] == PADDING_VALUE).all()


@pytest.mark.parametrize("size", [(2, 1), (1, 1), (3, 2), (1, 40), (40, 1)])
@pytest.mark.parametrize("top", range(0, 305, 16))
def test_a_close_up_of_less_than_a_pixel_shows_that_pixel(size, top):
    frame = Frame(np.full((size[1], size[0], 3), 7, np.uint8))
    box = LetterboxWriter().write(frame, np.zeros((384, 640, 3), np.uint8))
    close_up = np.zeros((96, 768, 3), np.uint8)
    LetterboxWriter().write_close_up(frame, box, top, 80, close_up)
    assert set(np.unique(close_up)) <= {7, PADDING_VALUE}


def test_a_close_up_of_padding_alone_is_padding():
    close_up = np.zeros((16, 1280, 3), np.uint8)
    frame = Frame(np.zeros((720, 1280, 3), np.uint8))
    LetterboxWriter().write_close_up(frame, Letterbox.fit(frame.size, CANVAS), 0, 8, close_up)
    assert (close_up == PADDING_VALUE).all()
