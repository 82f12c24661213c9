# SPDX-License-Identifier: Apache-2.0
"""Camera images as pixel views: no copy, any row step, every encoding that a camera driver sends.

The fields and encoding names are those of sensor_msgs/Image and CompressedImage; no ROS is needed to use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Encoding: channels, bytes a channel, and the OpenCV conversion to BGR (None: it is BGR already).
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "bgr8": (3, 1, None),
    "8UC3": (3, 1, None),
    "rgb8": (3, 1, cv2.COLOR_RGB2BGR),
    "bgra8": (4, 1, cv2.COLOR_BGRA2BGR),
    "8UC4": (4, 1, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, 1, cv2.COLOR_RGBA2BGR),
    "mono8": (1, 1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, 1, cv2.COLOR_GRAY2BGR),
    "mono16": (1, 2, cv2.COLOR_GRAY2BGR),
    "16UC1": (1, 2, cv2.COLOR_GRAY2BGR),
}
ENCODINGS = tuple(_ENCODINGS)


class FrameError(ValueError):
    """An image that cannot be used; the message names the field, its value and what would be right."""


@dataclass(frozen=True)
class Frame:
    """One camera image as it lies in the message's memory.

    pixels: (H, W, C) or, with one channel, (H, W) uint8; a view, rows may be padded.
    to_bgr: OpenCV colour conversion code to BGR, or None where pixels are BGR.
    """

    pixels: NDArray[np.uint8]
    to_bgr: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def bgr(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR at full size: a view for BGR frames, else a copy. For pictures, not for the hot path."""
        return self.pixels if self.to_bgr is None else cv2.cvtColor(self.pixels, self.to_bgr)


def view_image(
    data: Any, *, width: int, height: int, encoding: str, step: int = 0, is_bigendian: bool = False
) -> Frame:
    """Views the bytes of an uncompressed image.

    data: anything with the buffer protocol (array.array, bytes, memoryview, uint8 ndarray), `step * height` bytes.
    step: bytes a row; 0 means rows without padding.
    is_bigendian: byte order of 16-bit encodings, of which the high byte is used.
    Raises FrameError where size, step, encoding or length do not fit together.
    """
    if encoding not in _ENCODINGS:
        raise FrameError(f"encoding '{encoding}' is not supported: publish one of {', '.join(ENCODINGS)}")
    if width <= 0 or height <= 0:
        raise FrameError(f"image size {width}x{height} is not positive: check the camera driver")
    channels, depth, to_bgr = _ENCODINGS[encoding]
    row_bytes = width * channels * depth
    step = step or row_bytes
    if step < row_bytes:
        raise FrameError(f"step {step} is smaller than a row of {width} '{encoding}' pixels ({row_bytes} bytes)")
    flat = np.frombuffer(data, np.uint8)
    needed = step * (height - 1) + row_bytes
    if flat.size < needed:
        raise FrameError(f"image data has {flat.size} bytes, {width}x{height} '{encoding}' needs {needed}")
    if depth == 2:
        high_byte = 0 if is_bigendian else 1
        pixels = np.ndarray((height, width), np.uint8, flat, high_byte, (step, 2))
    elif channels == 1:
        pixels = np.ndarray((height, width), np.uint8, flat, 0, (step, 1))
    else:
        pixels = np.ndarray((height, width, channels), np.uint8, flat, 0, (step, channels, 1))
    return Frame(pixels, to_bgr)


def view_message(message: Any) -> Frame:
    """Views a sensor_msgs/Image, or whatever has its fields. Raises FrameError as `view_image`."""
    return view_image(
        message.data,
        width=message.width,
        height=message.height,
        encoding=message.encoding,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
    )


def decode_image(data: Any, format: str = "") -> Frame:
    """Decodes a JPEG or PNG image (sensor_msgs/CompressedImage) to BGR.

    Raises FrameError where the data is empty, truncated or no image; `format` is only named in the message.
    """
    flat = np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(flat, cv2.IMREAD_COLOR) if flat.size else None
    if pixels is None:
        raise FrameError(f"compressed image of {flat.size} bytes, format '{format}', cannot be decoded")
    return Frame(pixels)


def split_side_by_side(frame: Frame) -> tuple[Frame, Frame]:
    """Left and right halves of one wide image, as views. Raises FrameError where the width is odd."""
    width, height = frame.size
    if width % 2:
        raise FrameError(f"side-by-side image of {width}x{height} has an odd width: it cannot be halved")
    half = width // 2
    return Frame(frame.pixels[:, :half], frame.to_bgr), Frame(frame.pixels[:, half:], frame.to_bgr)
