# SPDX-License-Identifier: Apache-2.0
"""Pictures of what the detector found: boxes on camera images, cones from above, contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_NAMES
from cone_detector.detections import Cones, Detections

Image = NDArray[np.uint8]

# What a picture from above shows unasked: so far ahead, and so far to each side.
GROUND_AHEAD_M, GROUND_ASIDE_M = 20.0, 7.5

# x1, y1, x2, y2 in pixels.
_Rectangle = tuple[int, int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHORT_NAMES = tuple(name.removesuffix("_cone").replace("large_orange", "LARGE") for name in CLASS_NAMES)
_INK, _PAPER = (20, 20, 20), (245, 245, 245)
_BACKGROUND, _GRID, _GRID_TEXT = (46, 42, 38), (78, 72, 66), (190, 190, 190)


def draw_detections(bgr: Image, detections: Detections, cones: Cones | None = None, side: int = 0) -> Image:
    """An annotated copy of one camera image.

    bgr: (H, W, 3) uint8. detections: in pixels of this image. cones: where given, each located cone's label shows
    its distance along the ground. side: 0 where bgr is the left image, 1 where it is the right one.
    """
    picture = bgr.copy()
    unit = max(bgr.shape[0] / 720, 0.5)
    line = max(1, round(2 * unit))
    distances = _distances(detections, cones, side)
    boxes = [(round(x1), round(y1), round(x2), round(y2)) for x1, y1, x2, y2 in detections.xyxy.tolist()]
    for (x1, y1, x2, y2), label in zip(boxes, detections.label, strict=True):
        cv2.rectangle(picture, (x1, y1), (x2, y2), _INK, line + max(1, round(2 * unit)))
        cv2.rectangle(picture, (x1, y1), (x2, y2), CLASS_COLOURS_BGR[label], line)
    taken: list[_Rectangle] = list(boxes)
    # Nearest first: their labels get the best places.
    for i in np.argsort(-detections.xyxy[:, 3]):
        label = int(detections.label[i])
        text = f"{_SHORT_NAMES[label]} {detections.score[i]:.2f}"
        if i in distances:
            text += f" {distances[i]:.1f}m"
        _draw_label(picture, text, boxes[i], CLASS_COLOURS_BGR[label], 0.45 * unit, taken)
    return picture


def side_by_side(left: Image, right: Image, captions: tuple[str, str] = ("left", "right")) -> Image:
    """Both images in one, with captions. Images of different height are scaled to the left one's."""
    height = left.shape[0]
    if right.shape[0] != height:
        right = cv2.resize(right, (round(right.shape[1] * height / right.shape[0]), height))
    joined = np.hstack([left, right])
    for x, text in zip((0, left.shape[1]), captions, strict=True):
        draw_caption(joined, text, (x + 8, 8), 0.7 * max(height / 720, 0.5))
    cv2.line(joined, (left.shape[1], 0), (left.shape[1], height), _PAPER, 1)
    return joined


def draw_caption(picture: Image, text: str, corner: tuple[int, int], scale: float) -> None:
    """Writes light text on a dark plate into `picture`; corner: its upper left, (x, y) pixels."""
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    x, y = corner
    cv2.rectangle(picture, (x, y), (x + width + 8, y + height + base + 6), _INK, cv2.FILLED)
    cv2.putText(picture, text, (x + 4, y + height + 4), _FONT, scale, _PAPER, 1, cv2.LINE_AA)


def birds_eye(
    cones: Cones,
    size: tuple[int, int] = (540, 720),
    max_range_m: float = GROUND_AHEAD_M,
    half_width_m: float = GROUND_ASIDE_M,
) -> Image:
    """Cones from above, the camera at the bottom looking up, each with its two-sigma ellipse.

    cones: in the left camera's optical frame (x right, z forward, metres). size: (width, height) of the picture.
    Ground beyond max_range_m ahead or half_width_m to a side is not shown.
    """
    width, height = size
    picture = np.full((height, width, 3), _BACKGROUND, np.uint8)
    margin = 28
    scale = min((width - 2 * margin) / (2 * half_width_m), (height - 2 * margin) / max_range_m)
    origin = np.array([width / 2, height - margin])
    ground_to_pixel = np.array([[scale, 0.0], [0.0, -scale]])
    _draw_grid(picture, origin, scale, max_range_m, half_width_m)
    for position, covariance, label in zip(cones.position, cones.covariance, cones.label, strict=True):
        ground = position[[0, 2]]
        if not 0 <= ground[1] <= max_range_m or abs(ground[0]) > half_width_m:
            continue
        centre = _pixel(origin + ground_to_pixel @ ground)
        spread = ground_to_pixel @ covariance[np.ix_([0, 2], [0, 2])] @ ground_to_pixel.T
        if np.isfinite(spread).all():
            variances, axes = np.linalg.eigh(spread)
            radii = 2 * np.sqrt(np.maximum(variances, 0))
            angle = float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))
            cv2.ellipse(picture, centre, _pixel(radii), angle, 0, 360, (150, 150, 150), 1, cv2.LINE_AA)
        big = CLASS_NAMES[int(label)] == "large_orange_cone"
        cv2.circle(picture, centre, 8 if big else 5, CLASS_COLOURS_BGR[int(label)], cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, centre, 8 if big else 5, _PAPER, 1, cv2.LINE_AA)
    return picture


def contact_sheet(pictures: Sequence[Image], columns: int = 2, width: int = 960) -> Image:
    """Pictures in a grid, row by row, each `width` pixels wide. Raises ValueError where there is none."""
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    tiles = [cv2.resize(p, (width, round(p.shape[0] * width / p.shape[1])), interpolation=cv2.INTER_AREA)
             for p in pictures]  # fmt: skip
    gap, tallest = 4, max(tile.shape[0] for tile in tiles)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (tallest + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for n, tile in enumerate(tiles):
        y, x = n // columns * (tallest + gap), n % columns * (width + gap)
        sheet[y : y + tile.shape[0], x : x + width] = tile
    return sheet


def _distances(detections: Detections, cones: Cones | None, side: int) -> dict[int, float]:
    """Distance along the ground in metres, by the index of the box that shows the cone."""
    if cones is None or not len(detections):
        return {}
    metres = np.hypot(cones.position[:, 0], cones.position[:, 2])
    return dict(zip((cones.right if side else cones.left).tolist(), metres.tolist(), strict=True))


def _draw_label(
    picture: Image,
    text: str,
    box: _Rectangle,
    colour: tuple[int, int, int],
    scale: float,
    taken: list[_Rectangle],
) -> None:
    """Writes a label above its box, or as near as it fits; none where it would cover other boxes and labels."""
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    width, height = width + 4, height + base + 2
    x = min(max(box[0], 0), max(picture.shape[1] - width, 0))
    above, below = box[1] - height - 2, box[3] + 3
    step = height + 1
    rows = (above, below, above - step, below + step, above - 2 * step, above - 3 * step, max(box[1], 0) + 2)
    places = ((x, y, x + width, y + height) for y in rows if 0 <= y <= picture.shape[0] - height)
    free = next((place for place in places if not any(_overlap(place, other) for other in taken if other != box)), None)
    if free is None:
        return
    y = free[1]
    taken.append(free)
    if y not in (above, below):
        cv2.line(picture, (x, y + height), (box[0], box[1] if y < above else box[3]), colour, 1, cv2.LINE_AA)
    cv2.rectangle(picture, (x, y), (x + width, y + height), colour, cv2.FILLED)
    light = sum(colour) < 350
    cv2.putText(picture, text, (x + 2, y + height - base), _FONT, scale, _PAPER if light else _INK, 1, cv2.LINE_AA)


def _draw_grid(picture: Image, origin: NDArray[np.float64], scale: float, ahead_m: float, aside_m: float) -> None:
    for z in np.arange(0, ahead_m + 0.1, 5):
        start, end = (_pixel(origin + scale * np.array([x, -z])) for x in (-aside_m, aside_m))
        cv2.line(picture, start, end, _GRID, 1)
        cv2.putText(picture, f"{z:.0f} m", (4, start[1] - 4), _FONT, 0.45, _GRID_TEXT, 1, cv2.LINE_AA)
    for x in np.arange(-(aside_m // 5) * 5, aside_m + 0.1, 5):
        start, end = (_pixel(origin + scale * np.array([x, -z])) for z in (0, ahead_m))
        cv2.line(picture, start, end, _GRID, 1)
        cv2.putText(picture, f"{x:g}", (start[0] - 10, picture.shape[0] - 8), _FONT, 0.45, _GRID_TEXT, 1, cv2.LINE_AA)
    camera = np.array([[0, -14], [9, 4], [-9, 4]]) + origin
    cv2.fillPoly(picture, [camera.round().astype(np.int32)], _PAPER, cv2.LINE_AA)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _overlap(a: _Rectangle, b: _Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
