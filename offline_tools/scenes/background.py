# SPDX-License-Identifier: AGPL-3.0-only
"""The surroundings: upright sprites around the track, drawn far to near."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline_tools.scenes.camera import Camera
from offline_tools.scenes.canvas import Sprite
from offline_tools.scenes.light import Light
from offline_tools.scenes.sprites import sprite

ENVIRONMENTS = ("airfield", "parking", "circuit", "paddock", "wooded", "yard")


@dataclass(frozen=True, eq=False)
class Standing:
    """A sprite that stands at (x, y) metres and faces the camera; `flip` mirrors it, `scale` enlarges it."""

    picture: Sprite
    x: float
    y: float
    flip: bool
    scale: float


# Kind, number on the whole circle, nearest and farthest place beyond the track's edge (metres), range of scale.
_POPULATION: dict[str, tuple[tuple[str, int, float, float, float, float], ...]] = {
    "airfield": (
        ("hill", 9, 900, 1800, 0.8, 1.8), ("hedge", 60, 120, 330, 0.7, 1.6), ("tree", 20, 80, 260, 0.7, 1.3),
        ("building", 6, 110, 300, 0.8, 1.5), ("vehicle", 8, 30, 120, 1, 1), ("tent", 5, 30, 110, 1, 1.3),
        ("person", 10, 8, 60, 0.95, 1.1), ("pole", 5, 40, 160, 0.8, 1.3),
        ("clutter", 8, 3, 40, 0.8, 1.2),
    ),
    "parking": (
        ("hill", 4, 900, 1800, 0.8, 1.5), ("hedge", 44, 60, 170, 0.6, 1.4), ("tree", 60, 25, 120, 0.6, 1.4),
        ("building", 16, 45, 130, 0.8, 1.5), ("vehicle", 34, 14, 70, 1, 1), ("pole", 16, 10, 80, 0.8, 1.3),
        ("tent", 4, 18, 60, 1, 1.2), ("person", 14, 5, 40, 0.95, 1.1), ("barrier", 10, 16, 60, 1, 1.2),
        ("clutter", 16, 3, 40, 0.8, 1.2),
    ),
    "circuit": (
        ("hill", 6, 900, 1800, 0.8, 1.6), ("hedge", 50, 70, 220, 0.8, 1.8), ("tree", 50, 40, 140, 0.8, 1.6),
        ("stand", 5, 45, 110, 0.9, 1.4), ("building", 6, 60, 140, 0.9, 1.5), ("barrier", 40, 12, 45, 1, 1.5),
        ("pole", 14, 14, 90, 0.9, 1.6), ("person", 12, 6, 40, 0.95, 1.1), ("tent", 6, 20, 70, 1, 1.3),
        ("clutter", 16, 3, 40, 0.8, 1.2),
    ),
    "paddock": (
        ("hedge", 44, 80, 200, 0.8, 1.5), ("tree", 36, 40, 130, 0.7, 1.4), ("building", 18, 40, 110, 0.8, 1.6),
        ("tent", 24, 14, 60, 1, 1.3), ("vehicle", 30, 14, 60, 1, 1), ("person", 34, 4, 40, 0.95, 1.1),
        ("barrier", 16, 8, 40, 1, 1.2), ("pole", 12, 10, 60, 0.8, 1.3),
        ("clutter", 30, 3, 40, 0.8, 1.2),
    ),
    "wooded": (
        ("hedge", 60, 14, 40, 1.0, 2.6), ("tree", 120, 8, 40, 0.8, 1.9), ("barrier", 30, 4, 16, 1, 1.4),
        ("pole", 6, 6, 40, 0.8, 1.3), ("person", 8, 3, 16, 0.95, 1.1), ("vehicle", 8, 8, 30, 1, 1),
        ("building", 4, 25, 60, 0.9, 1.5), ("clutter", 12, 2, 16, 0.8, 1.2),
    ),
    "yard": (
        ("hedge", 40, 50, 120, 0.8, 1.8), ("building", 44, 10, 50, 0.9, 1.6), ("tree", 40, 8, 60, 0.7, 1.5),
        ("barrier", 26, 3, 14, 1, 1.4), ("vehicle", 30, 5, 30, 1, 1), ("tent", 6, 6, 30, 1, 1.2),
        ("person", 16, 3, 20, 0.95, 1.1), ("pole", 12, 5, 50, 0.8, 1.3), ("clutter", 24, 2, 20, 0.8, 1.2),
    ),
}  # fmt: skip


def make_background(
    environment: str, centre: np.ndarray, radius: float, rng: np.random.Generator
) -> tuple[Standing, ...]:
    """Places the sprites of an environment around a track's `centre` (2,), beyond `radius` metres; far ones first."""
    if environment not in _POPULATION:
        raise ValueError(f"unknown environment {environment!r}: choose one of {', '.join(ENVIRONMENTS)}")
    standing = []
    density = rng.uniform(0.5, 1.3)
    for kind, count, near, far, small, large in _POPULATION[environment]:
        clusters = rng.uniform(0, 2 * np.pi, 5)
        for number in range(int(count * (density if kind not in ("hill", "hedge") else 1.0)) + 1):
            azimuth = rng.uniform(0, 2 * np.pi)
            if kind in ("vehicle", "tent", "person", "tree") and rng.random() < 0.6:
                azimuth = clusters[rng.integers(5)] + rng.normal(0, 0.15)
            elif kind in ("hill", "hedge"):
                azimuth = 2 * np.pi * (number + rng.uniform(-0.3, 0.3)) / count
            reach = radius + near + (far - near) * rng.random() ** 1.5
            standing.append(
                Standing(
                    sprite(kind, int(rng.integers(1 << 16))),
                    float(centre[0] + reach * np.cos(azimuth)),
                    float(centre[1] + reach * np.sin(azimuth)),
                    bool(rng.random() < 0.5) and kind not in ("building", "barrier", "vehicle"),
                    float(rng.uniform(small, large)),
                )
            )
    return tuple(standing)


def draw_background(image: np.ndarray, camera: Camera, standing: tuple[Standing, ...], light: Light) -> None:
    """Composites the sprites over a radiance image (H, W, 3) float32, in place."""
    places = np.array([[item.x, item.y, 0.0] for item in standing])
    optical = camera.to_optical(places)
    ahead = optical[:, 2] > 2.0
    for index in np.argsort(-optical[:, 2]):
        if ahead[index]:
            _draw_one(image, camera, standing[index], places[index], optical[index, 2], light)


def _draw_one(image: np.ndarray, camera: Camera, item: Standing, place: np.ndarray, depth: float, light: Light) -> None:
    picture = item.picture
    width, height = picture.width * item.scale, picture.height * item.scale
    toward = place[:2] - camera.position[:2]
    right = np.array([toward[1], -toward[0], 0.0]) / np.linalg.norm(toward)
    up = np.array([0.0, 0.0, height])
    left, right = place - right * width / 2, place + right * width / 2
    optical = camera.to_optical(np.stack([left, right, right + up, left + up]))
    if optical[:, 2].min() < 1.0:
        return
    pixel = camera.project_optical(optical)
    lens = camera.intrinsics
    low = np.maximum(np.floor(pixel.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(pixel.max(axis=0)).astype(int) + 2, [lens.width, lens.height])
    if (high <= low).any():
        return
    pixels = picture.pixels[:, ::-1] if item.flip else picture.pixels
    shrink = np.linalg.norm(pixel[3] - pixel[0]) / len(pixels)
    if shrink < 0.5:
        # A resize to about the final size filters; the warp only places it.
        size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(len(pixels) * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    tall, wide = pixels.shape[:2]
    source = np.array([[0, tall], [wide, tall], [wide, 0], [0, 0]], np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(source, (pixel - low).astype(np.float32))
    tile = cv2.warpPerspective(np.ascontiguousarray(pixels), warp, (high - low).tolist(), flags=cv2.INTER_LINEAR)
    haze = 1.0 - np.exp(-depth / 900.0)
    alpha = tile[..., 3:]
    light_on = (light.sky * 0.75 + light.sun * 0.45 * (0.4 + 0.6 * light.sun_direction[2])).astype(np.float32)
    colour = tile[..., :3] * light_on
    colour += haze * ((light.horizon * 0.8).astype(np.float32) * alpha - colour)
    region = image[low[1] : high[1], low[0] : high[0]]
    region *= 1.0 - alpha
    region += colour
