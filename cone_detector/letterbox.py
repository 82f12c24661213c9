# SPDX-License-Identifier: Apache-2.0
"""The letterbox: a camera image, scaled with its aspect kept, centred on the engine's canvas.

The geometry is ultralytics' (centred, rounded, padding value 114), so that weights see what they were trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import FLOAT, compiled, packed, view
from cone_detector.frames import Frame

PADDING_VALUE = 114

# cv2.resize with INTER_LINEAR samples 2x2 pixels: below half scale it skips some and aliases.
_SMALLEST_LINEAR_SCALE = 0.5


@dataclass(frozen=True)
class Letterbox:
    """Where an image of `source` size lies on a canvas; all sizes are (width, height) in pixels."""

    source: tuple[int, int]
    canvas: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    @lru_cache(maxsize=16)
    def fit(cls, source: tuple[int, int], canvas: tuple[int, int]) -> Letterbox:
        """The centred letterbox of `source` on `canvas`. Raises ValueError where a size is not positive."""
        if min(*source, *canvas) <= 0:
            raise ValueError(f"letterbox of {source} on {canvas}: sizes must be positive")
        scale = min(canvas[0] / source[0], canvas[1] / source[1])
        scaled = (max(1, round(source[0] * scale)), max(1, round(source[1] * scale)))
        # 0.1 less before rounding: an odd rest goes to the right and below, as in ultralytics' LetterBox.
        offset = (round((canvas[0] - scaled[0]) / 2 - 0.1), round((canvas[1] - scaled[1]) / 2 - 0.1))
        return cls(source, canvas, scaled, offset)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Canvas pixels a source pixel, along x and y."""
        return self.scaled[0] / self.source[0], self.scaled[1] / self.source[1]

    def to_source(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps boxes from the canvas to the image, clipped to it. (N, 4) canvas pixels in, (N, 4) image pixels out."""
        return _to_source(xyxy, *self._corners)

    def to_canvas(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps boxes from the image to the canvas. (N, 4) image pixels in, (N, 4) canvas pixels out."""
        offset, scale, _ = self._corners
        return xyxy * scale + offset

    @cached_property
    def _corners(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Offset, scale and source size for x1, y1, x2, y2."""
        offset, scale, size = (np.array(values * 2, np.float32) for values in (self.offset, self.scale, self.source))
        return offset, scale, size


@compiled(view(FLOAT, 2), *[packed(FLOAT, 1)] * 3)
def _to_source(
    xyxy: NDArray[np.float32],
    offset: NDArray[np.float32],
    scale: NDArray[np.float32],
    size: NDArray[np.float32],
) -> NDArray[np.float32]:
    boxes = np.empty(xyxy.shape, np.float32)
    for index in range(len(xyxy)):
        for side in range(4):
            boxes[index, side] = min(max((xyxy[index, side] - offset[side]) / scale[side], np.float32(0)), size[side])
    return boxes


class LetterboxWriter:
    """Writes camera images onto canvases in BGR, keeping one scratch image for colour conversion."""

    def __init__(self) -> None:
        self._scratch: NDArray[np.uint8] = np.empty((0, 0), np.uint8)

    def write(self, frame: Frame, canvas: NDArray[np.uint8]) -> Letterbox:
        """Letterboxes `frame` into `canvas`, (H, W, 3) uint8, in place, and says where it lies.

        Colour is converted after scaling, on a quarter of the pixels.
        """
        box = Letterbox.fit(frame.size, (canvas.shape[1], canvas.shape[0]))
        (width, height), (x, y) = box.scaled, box.offset
        self._write(frame.pixels, frame.to_bgr, canvas, (x, y, x + width, y + height))
        return box

    def write_close_up(self, frame: Frame, box: Letterbox, top: int, strip: int, close_up: NDArray[np.uint8]) -> None:
        """Writes what `strip` canvas rows from `top` on show of `frame` into `close_up`, in place, in more detail.

        box: where the frame lies on its canvas. close_up: (h, w, 3) uint8, of the strip's shape and larger.
        """
        finer = close_up.shape[1] / box.canvas[0]
        (width, height), (x, y) = box.scaled, box.offset
        first = max(top, y)
        last = max(min(top + strip, y + height), first)
        # Of an image of few rows a strip may show less than one.
        begin = min(round((first - y) / box.scale[1]), box.source[1] - 1)
        source = frame.pixels[begin : max(round((last - y) / box.scale[1]), begin + 1)]
        corners = (x, first - top, x + width, last - top)
        x1, y1, x2, y2 = (round(side * finer) for side in corners)
        self._write(source, frame.to_bgr, close_up, (x1, y1, x2, y2))

    def _write(
        self,
        pixels: NDArray[np.uint8],
        to_bgr: int | None,
        canvas: NDArray[np.uint8],
        place: tuple[int, int, int, int],
    ) -> None:
        """Scales `pixels` into the rectangle x1, y1, x2, y2 of `canvas`, and pads the rest."""
        x1, y1, x2, y2 = place
        inside = canvas[y1:y2, x1:x2]
        height, width = inside.shape[:2]
        if inside.size:
            smallest = min(width / pixels.shape[1], height / pixels.shape[0])
            interpolation = cv2.INTER_LINEAR if smallest >= _SMALLEST_LINEAR_SCALE else cv2.INTER_AREA
            if to_bgr is None:
                cv2.resize(pixels, (width, height), dst=inside, interpolation=interpolation)
            else:
                shape = (height, width, *pixels.shape[2:])
                if self._scratch.shape != shape:
                    self._scratch = np.empty(shape, np.uint8)
                cv2.resize(pixels, (width, height), dst=self._scratch, interpolation=interpolation)
                cv2.cvtColor(self._scratch, to_bgr, dst=inside)
        canvas[:y1] = PADDING_VALUE
        canvas[y2:] = PADDING_VALUE
        canvas[y1:y2, :x1] = PADDING_VALUE
        canvas[y1:y2, x2:] = PADDING_VALUE
