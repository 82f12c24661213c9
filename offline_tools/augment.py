# SPDX-License-Identifier: AGPL-3.0-only
"""What other cameras, light and weather do to a frame, for training.

Colour says which side of the track a cone stands on, so hue hardly moves and no channel is swapped: white
balance is off by a few percent at most. All else that a camera changes is varied widely. Strengths are those
of frames from car cameras looked at for this project; each effect is drawn alone, so that most frames carry two
or three.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Draw = np.random.Generator

_NOISE_SIDE = 1024


def camera_effects(image: Image, draw: Draw) -> Image:
    """A copy of the BGR `image` (H, W, 3) as a worse or merely different camera would have seen it."""
    if draw.random() < 0.25:
        image = _shadow(image, draw)
    if draw.random() < 0.12:
        image = _glare(image, draw)
    if draw.random() < 0.10:
        image = _haze(image, draw)
    if draw.random() < 0.15:
        image = _coarse(image, draw)
    if draw.random() < 0.25:
        image = _blur(image, draw)
    image = _tone(image, draw)
    if draw.random() < 0.10:
        image = _vignette(image, draw)
    if draw.random() < 0.25:
        image = _noise(image, draw)
    if draw.random() < 0.25:
        image = _jpeg(image, draw)
    return image


def _tone(image: Image, draw: Draw) -> Image:
    """Exposure, gamma, contrast and white balance, in one table a channel."""
    level = np.arange(256) / 255
    gain = draw.uniform(0.35, 0.65) if draw.random() < 0.08 else draw.uniform(0.7, 1.35)
    gamma = np.exp(draw.normal(0, 0.25))
    contrast = draw.uniform(0.75, 1.3)
    curve = (np.clip(level * gain, 0, 1) ** gamma - 0.45) * contrast + 0.45 + draw.uniform(-0.06, 0.06)
    balance = draw.uniform(0.93, 1.07, 3)
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[:, None])


def _shadow(image: Image, draw: Draw) -> Image:
    """One or two dark areas with straight edges, soft or sharp, as trees, walls and the car itself cast them."""
    height, width = image.shape[:2]
    mask = np.full((height // 4, width // 4), 255, np.uint8)
    for _ in range(draw.integers(1, 3)):
        centre = draw.uniform(0, 1, 2) * (width // 4, height // 4)
        angles = np.sort(draw.uniform(0, 2 * np.pi, draw.integers(3, 6)))
        reach = draw.uniform(0.1, 0.6, len(angles))[:, None] * width / 4
        points = centre + reach * np.stack((np.cos(angles), np.sin(angles) * 0.6), axis=1)
        cv2.fillPoly(mask, [points.astype(np.int32)], int(draw.uniform(80, 190)))
    softness = draw.uniform(0.5, 6)
    mask = cv2.resize(cv2.GaussianBlur(mask, (0, 0), softness), (width, height))
    return cv2.multiply(image, cv2.merge((mask, mask, mask)), scale=1 / 255)


def _glare(image: Image, draw: Draw) -> Image:
    """A low sun: a bright spot in the upper half and the veil that it throws over the lens."""
    height, width = image.shape[:2]
    glow = np.zeros((height // 8, width // 8), np.float32)
    centre = (int(draw.uniform(0, width / 8)), int(draw.uniform(0, height / 16)))
    cv2.circle(glow, centre, int(draw.uniform(2, 8)), draw.uniform(150, 500), -1)
    glow = cv2.GaussianBlur(glow, (0, 0), draw.uniform(4, 20)) + draw.uniform(0, 30)
    light = cv2.resize(np.minimum(glow, 255).astype(np.uint8), (width, height))
    return cv2.add(image, cv2.merge((light, light, light)))


def _haze(image: Image, draw: Draw) -> Image:
    """Rain, fog or a wet lens: contrast lost towards a grey."""
    grey = np.full_like(image, int(draw.uniform(120, 220)))
    share = draw.uniform(0.1, 0.45)
    return cv2.addWeighted(image, 1 - share, grey, share, 0)


def _coarse(image: Image, draw: Draw) -> Image:
    """A camera of fewer pixels, scaled up to the canvas."""
    height, width = image.shape[:2]
    scale = draw.uniform(0.45, 0.9)
    small = cv2.resize(image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _blur(image: Image, draw: Draw) -> Image:
    """Motion (mostly sideways, as a turning car gives it) or a lens out of focus."""
    if draw.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), draw.uniform(0.4, 1.6))
    length = int(draw.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = draw.normal(0, 0.4)
    step = np.array((np.cos(angle), np.sin(angle))) * length / 2
    middle = (length - 1) / 2
    start, end = ((middle - step).round().astype(int), (middle + step).round().astype(int))
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0)
    return cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1.0))


def _vignette(image: Image, draw: Draw) -> Image:
    height, width = image.shape[:2]
    y, x = np.ogrid[-1 : 1 : height // 8 * 1j, -1 : 1 : width // 8 * 1j]
    shade = 255 * (1 - draw.uniform(0.1, 0.35) * (x**2 + y**2))
    mask = cv2.resize(np.clip(shade, 0, 255).astype(np.uint8), (width, height))
    return cv2.multiply(image, cv2.merge((mask, mask, mask)), scale=1 / 255)


def _noise(image: Image, draw: Draw) -> Image:
    """Sensor noise, finer or coarser, from a tile made once: drawing a frame's worth each time costs 15 ms."""
    height, width = image.shape[:2]
    tile = _noise_tile()
    y, x = draw.integers(0, _NOISE_SIDE, 2)
    rows, columns = np.arange(y, y + height) % _NOISE_SIDE, np.arange(x, x + width) % _NOISE_SIDE
    strength = np.abs(draw.normal(0, 10)) + 2
    noise = tile[rows][:, columns]
    if draw.random() < 0.3:
        noise = np.repeat(noise[..., :1], 3, axis=2)
    return cv2.addWeighted(image.astype(np.int16), 1, noise, strength / 32, 0, dtype=cv2.CV_8U)


_tile: NDArray[np.int16] | None = None


def _noise_tile() -> NDArray[np.int16]:
    global _tile
    if _tile is None:
        normal = np.random.default_rng(0).normal(0, 32, (_NOISE_SIDE, _NOISE_SIDE, 3))
        _tile = normal.astype(np.int16)
    return _tile


def _jpeg(image: Image, draw: Draw) -> Image:
    """The blocks and colour bleeding of a compressed stream."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(25, 85))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
