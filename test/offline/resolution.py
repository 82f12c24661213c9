# SPDX-License-Identifier: AGPL-3.0-only
"""A network stand-in that really looks: it finds blue boxes in the pixels of a pass, if they are large enough there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from doubles import TableEngine, rows_of
from numpy.typing import NDArray

from cone_detector.frames import Frame
from offline_tools.policies.sequences import Labelled, LabelledPair, LabelledSequence, Truth

# Lowest box that is found, in the network's own pixels: 16 on the canvas at 320, 8 at 640, 4 in a zoom.
_SMALLEST_PX = 8
SIZE = (1280, 720)
_HORIZON, _CAMERA_M = 236.0, 1.0


class ResolutionEngine(TableEngine):
    """See `cone_detector.engine.contract.Engine`."""

    def __init__(self) -> None:
        super().__init__(lambda name, canvas: None)

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        self.passes.append(name)
        manifest = self.manifests[name]
        rows = []
        for side in (0, 1):
            image, first = self.slots[slot][side], 0
            if name in self.close_ups:
                image, first = self.close_ups[name][side], top[side]
            elif manifest.strip:
                image, first = image[top[side] : top[side] + manifest.strip], top[side]
            elif manifest.network[0] < manifest.canvas[0]:
                image = cv2.resize(image, manifest.network, interpolation=cv2.INTER_AREA)
            rows.append(_find(image, manifest.canvas[0] / image.shape[1], first))
        return np.stack(rows)


def _find(image: NDArray[np.uint8], scale: float, top: int) -> NDArray[np.float32]:
    blue = (image[..., 0].astype(int) - image[..., 2] > 100).astype(np.uint8)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(blue)
    found = []
    for x, y, width, height, _ in boxes[1:count]:
        if height >= _SMALLEST_PX:
            corners = (x, y, x + width, y + height)
            found.append((*(value * scale + offset for value, offset in zip(corners, (0, top, 0, top), strict=True)),
                          min(0.95, 0.4 + height / 100), 0))  # fmt: skip
    return rows_of(*found)


def cones(*heights: float) -> NDArray[np.float32]:
    """Boxes (N, 4) in image pixels of cones on flat ground, side by side."""
    boxes = []
    for i, height in enumerate(heights):
        base = _HORIZON + height * _CAMERA_M / 0.325
        x = 60 + 150 * i
        boxes.append((x, base - height, x + 0.6 * height, base))
    return np.round(np.array(boxes, np.float32).reshape(-1, 4))


def draw(boxes: NDArray[np.float32]) -> Callable[[], tuple[Frame, Frame]]:
    """A reader of a pair that shows the cones in both images."""

    def read() -> tuple[Frame, Frame]:
        image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        for x1, y1, x2, y2 in boxes.astype(int):
            image[y1:y2, x1:x2] = (255, 60, 30)
        return Frame(image), Frame(image)

    return read


def approach(frames: int = 12) -> Labelled:
    """A car that comes nearer to five cones, of which three are too far for 320 and one of those for 640."""
    pairs = []
    for number in range(frames):
        grown = 1 + 0.003 * number
        boxes = cones(*(height * grown for height in (120, 60, 26, 20, 11)))
        truth = Truth(boxes / np.array(SIZE * 2, np.float32), np.zeros(len(boxes), np.int64))
        pairs.append(LabelledPair(SIZE, draw(boxes), (truth, truth)))
    return Labelled([LabelledSequence("approach", pairs)], "0" * 64)
