# SPDX-License-Identifier: AGPL-3.0-only
"""A small drawing board in metres, from which the sprites of the background are made."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline_tools.scenes.light import linear

Colour = tuple[float, float, float]
"""sRGB-coded BGR, 0 to 255."""


@dataclass(frozen=True, eq=False)
class Sprite:
    """Premultiplied linear BGR + coverage (h, w, 4) float32, and its size in metres."""

    pixels: np.ndarray
    width: float
    height: float


class Canvas:
    """An sRGB drawing with coverage, in metres, origin at the lower left."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.width, self.height, self.scale = width, height, scale
        size = (max(2, round(height * scale)), max(2, round(width * scale)))
        self.bgr = np.zeros((*size, 3), np.uint8)
        self.alpha = np.zeros(size, np.uint8)

    def _pixel(self, points: np.ndarray) -> np.ndarray:
        flipped = np.asarray(points, float) * [1, -1] + [0, self.height]
        return np.round(flipped * self.scale * 16).astype(np.int32)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fills a polygon; metres."""
        pixel = [self._pixel(np.array(points))]
        cv2.fillPoly(self.bgr, pixel, colour, shift=4)
        cv2.fillPoly(self.alpha, pixel, 255.0, shift=4)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fills a rectangle from its lower left corner; metres."""
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fills a circle; metres."""
        scale = self.scale * 16
        centre = (int(x * scale), int((self.height - y) * scale))
        size = max(8, int(radius * scale))
        cv2.circle(self.bgr, centre, size, colour, -1, shift=4)
        cv2.circle(self.alpha, centre, size, 255.0, -1, shift=4)

    def sprite(self, rng: np.random.Generator, grain: float = 4.0) -> Sprite:
        """The finished picture, with slight stains."""
        noise = cv2.resize(rng.normal(0, grain, (9, 9)).astype(np.float32), self.alpha.shape[::-1])
        noise += rng.normal(0, grain * 0.6, self.alpha.shape)
        colour = linear(np.clip(self.bgr + noise[..., None], 0, 255))
        alpha = (self.alpha.astype(np.float32) / 255)[..., None]
        return Sprite(np.concatenate([colour * alpha, alpha], axis=2), self.width, self.height)


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour times a brightness."""
    return min(colour[0] * factor, 255.0), min(colour[1] * factor, 255.0), min(colour[2] * factor, 255.0)


def random_colour(rng: np.random.Generator, vivid: float = 0.45) -> Colour:
    """A colour as objects outdoors have them: mostly dull."""
    grey = rng.uniform(30, 225)
    blue, green, red = np.clip(grey + vivid * rng.uniform(-160, 160, 3), 8, 245).tolist()
    return blue, green, red


def jitter(colour: Colour, rng: np.random.Generator, spread: float = 12) -> Colour:
    """The colour with normal noise on each channel."""
    blue, green, red = np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 255).tolist()
    return blue, green, red


def writing(
    canvas: Canvas, x: float, y: float, width: float, height: float, ink: Colour, rng: np.random.Generator
) -> None:
    """Strokes that look like a line of lettering from afar; metres."""
    end = x + width
    while x < end:
        step = rng.uniform(0.3, 0.8) * height
        if rng.random() < 0.85:
            canvas.box(x, y, step * 0.35, height, ink)
            canvas.box(x, y + rng.choice([0.0, 0.4, 0.8]) * height, step * 0.8, height * 0.2, ink)
        x += step
