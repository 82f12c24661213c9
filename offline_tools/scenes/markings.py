# SPDX-License-Identifier: AGPL-3.0-only
"""Things drawn on the ground as vector strips: paint, tyre marks, cracks, seams, chalk boxes and cone shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from offline_tools.scenes.camera import Camera
from offline_tools.scenes.cones import Cone, silhouette
from offline_tools.scenes.light import Light
from offline_tools.scenes.mesh import Mesh
from offline_tools.scenes.track import Track

SUPERSAMPLE = 2
LAYERS = ("paint", "tyre", "crack", "seam", "shadow", "contact")


@dataclass(eq=False)
class Markings:
    """Ground polygons of each layer: lists of (P, 2) metres with a strength 0..1."""

    polygons: dict[str, list[tuple[np.ndarray, float]]] = field(default_factory=dict)

    def add(self, layer: str, polygon: np.ndarray, strength: float) -> None:
        """Adds one convex polygon (P, 2)."""
        self.polygons.setdefault(layer, []).append((polygon, strength))

    def add_strip(self, layer: str, line: np.ndarray, width: float, strength: float) -> None:
        """Adds a band of `width` metres along a polyline (N, 2)."""
        tangent = np.gradient(line, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * width / 2
        left, right = line + normal, line - normal
        for quad in np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1):
            self.add(layer, quad, strength)

    def add_line(self, layer: str, start: np.ndarray, end: np.ndarray, width: float, strength: float) -> None:
        """Adds a straight band from `start` to `end`, cut into pieces of about 0.7 m."""
        pieces = max(2, int(np.linalg.norm(end - start) / 0.7) + 1)
        self.add_strip(layer, start + (end - start) * np.linspace(0, 1, pieces)[:, None], width, strength)


def draw_layer(camera: Camera, polygons: list[tuple[np.ndarray, float]], top: int) -> np.ndarray | None:
    """Coverage times strength of one layer.

    Args:
        top: first image row to draw.

    Returns:
        (height - top, width) float32, or None where nothing of it is in view.
    """
    lens = camera.intrinsics
    sizes = np.array([len(points) for points, _ in polygons])
    flat = np.concatenate([points for points, _ in polygons])
    optical = camera.to_optical(np.concatenate([flat, np.zeros((len(flat), 1))], axis=1))
    pixels = camera.project_optical(optical)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    nearest = np.minimum.reduceat(optical[:, 2], starts)
    low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
    limit = [lens.width, lens.height]
    visible = (nearest > 0.25) & (high[:, 0] > 0) & (high[:, 1] > top) & (low < limit).all(axis=1)
    visible &= (high - low).max(axis=1) < 4000
    chosen = np.flatnonzero(visible)
    if not len(chosen):
        return None
    mask = np.zeros(((lens.height - top) * SUPERSAMPLE, lens.width * SUPERSAMPLE), np.uint8)
    strengths = np.array([polygons[i][1] for i in chosen])
    # A strip thinner than a sample would be drawn one sample thick: its strength is thinned instead.
    thickness = (high - low)[chosen].min(axis=1) * SUPERSAMPLE
    values = 255 * strengths * np.clip(thickness, 0.15, 1.0)
    pixels = np.clip(pixels, -1e6, 1e6)
    sub = np.round(((pixels + 0.5) * SUPERSAMPLE - 0.5 - [0, top * SUPERSAMPLE]) * 16).astype(np.int32)
    for number in np.argsort(values, kind="stable"):
        i = chosen[number]
        quad = sub[starts[i] : starts[i] + sizes[i]]
        cv2.fillConvexPoly(mask, quad, float(values[number]), shift=4)
    small = cv2.resize(mask, (lens.width, lens.height - top), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) * np.float32(1 / 255)


def add_cone_shadows(markings: Markings, cones: tuple[Cone, ...], light: Light) -> None:
    """Adds the sun's shadow and the dark contact rim of every cone."""
    # A grazing sun throws shadows without end; past 4 m they fade into the ground anyway.
    slope = light.sun_direction[:2] / max(light.sun_direction[2], 0.12)
    for cone in cones:
        points = silhouette(cone)
        if light.sun.any():
            cast = points[:, :2] - slope * points[:, 2:]
            markings.add("shadow", _hull(cast), 1.0 - light.shadow_softness)
        low = points[points[:, 2] < max(0.06, 0.3 * points[:, 2].max())][:, :2]
        base = _hull(low)
        middle = base.mean(axis=0)
        for growth, strength in ((1.5, 0.22), (1.28, 0.42), (1.1, 0.75)):
            markings.add("contact", middle + (base - middle) * growth, strength)


def with_car_shadow(markings: Markings, parts: Sequence[Mesh], light: Light) -> Markings:
    """The markings with the shadow and the dark underside of a car; `parts` are its meshes in the world."""
    if not parts:
        return markings
    added = Markings({name: list(polygons) for name, polygons in markings.polygons.items()})
    slope = light.sun_direction[:2] / max(light.sun_direction[2], 0.12)
    for part in parts:
        points = part.vertices
        if light.sun.any():
            added.add("shadow", _hull(points[:, :2] - slope * points[:, 2:]), 1.0 - light.shadow_softness)
        base = _hull(points[:, :2])
        middle = base.mean(axis=0)
        for growth, strength in ((1.5, 0.12), (1.25, 0.25), (1.05, 0.5)):
            added.add("contact", middle + (base - middle) * growth, strength)
    return added


def _hull(points: np.ndarray) -> np.ndarray:
    middle = points.mean(axis=0)
    hull = cv2.convexHull((points - middle).astype(np.float32))[:, 0].astype(np.float64)
    return hull + middle


def scatter_markings(track: Track, surface: str, rng: np.random.Generator) -> Markings:
    """Old paint, rubber, cracks and seams around a track; chalk boxes around its cones on some surfaces."""
    markings = Markings()
    low, high = track.centre.min(axis=0) - 25, track.centre.max(axis=0) + 25
    heading = rng.uniform(0, np.pi)
    axis = np.array([np.cos(heading), np.sin(heading)])
    across = np.array([-axis[1], axis[0]])
    _add_paint(markings, low, high, axis, across, rng)
    _add_rubber(markings, track, low, high, rng)
    _add_damage(markings, surface, low, high, axis, across, rng)
    if rng.random() < 0.35:
        strength = rng.uniform(0.35, 0.9)
        for cone in track.cones:
            if rng.random() < 0.8:
                _add_chalk_box(markings, cone, strength, rng)
    return markings


def _add_paint(
    markings: Markings,
    low: np.ndarray,
    high: np.ndarray,
    axis: np.ndarray,
    across: np.ndarray,
    rng: np.random.Generator,
) -> None:
    for _ in range(rng.choice([0, 1, 2, 4, 6])):
        middle = rng.uniform(low, high)
        direction = axis if rng.random() < 0.7 else across
        half = direction * rng.uniform(6, 50)
        markings.add_line("paint", middle - half, middle + half, rng.uniform(0.08, 0.18), rng.uniform(0.35, 1.0))
    if rng.random() < 0.35:
        # Parking bays: a row of short parallel lines.
        origin, strength = rng.uniform(low, high), rng.uniform(0.4, 1.0)
        for bay in range(rng.integers(6, 26)):
            start = origin + axis * 2.6 * bay
            markings.add_line("paint", start, start + across * 5.0, 0.11, strength)
    for _ in range(rng.choice([0, 0, 1, 3])):
        # Faded letters or arrows, as a few thick strokes.
        middle, strength = rng.uniform(low, high), rng.uniform(0.25, 0.8)
        for _ in range(4):
            start = middle + rng.uniform(-1.2, 1.2, 2)
            markings.add_line("paint", start, start + rng.uniform(-1.6, 1.6, 2), 0.3, strength)


def _add_rubber(markings: Markings, track: Track, low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> None:
    def pair(line: np.ndarray, strength: float, gauge: float) -> None:
        tangent = np.gradient(line, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        for side in (-gauge / 2, gauge / 2):
            markings.add_strip("tyre", line + normal * side, 0.26, 0.45 * strength)
            markings.add_strip("tyre", line + normal * side, 0.15, strength)

    for _ in range(rng.choice([0, 1, 2, 3])):
        length, start = int(rng.uniform(10, 70) / track.step), int(rng.integers(len(track.centre)))
        points = track.centre[(start + np.arange(length)) % len(track.centre)][::3]
        if not track.closed:
            points = track.centre[::3]
        wander = np.cumsum(rng.normal(0, 0.03, (len(points), 1)), axis=0)
        pair(points + wander + rng.normal(0, 0.4, 2), rng.uniform(0.15, 0.6), 1.2)
    for _ in range(rng.choice([0, 0, 2, 5])):
        radius, first = rng.uniform(3, 16), rng.uniform(0, 6.28)
        turn = first + np.linspace(0, rng.uniform(0.6, 6.28), 40)
        middle = rng.uniform(low, high)
        line = middle + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        pair(line, rng.uniform(0.2, 0.9), rng.uniform(1.2, 1.5))


def _add_damage(
    markings: Markings,
    surface: str,
    low: np.ndarray,
    high: np.ndarray,
    axis: np.ndarray,
    across: np.ndarray,
    rng: np.random.Generator,
) -> None:
    middle = (low + high) / 2
    reach = float(np.linalg.norm(high - low) / 2)
    if surface == "concrete" or rng.random() < 0.25:
        pitch = rng.uniform(4, 9)
        for direction, other in ((axis, across), (across, axis)):
            if surface != "concrete" and direction is across:
                continue
            for offset in np.arange(-reach, reach, pitch):
                start = middle + other * offset - direction * reach
                markings.add_line("seam", start, start + direction * 2 * reach, rng.uniform(0.02, 0.05), 0.7)
    for _ in range(rng.choice([0, 6, 20, 40])):
        point, bearing = rng.uniform(low, high), rng.uniform(0, 6.28)
        turns = np.cumsum(rng.normal(0, 0.35, 30)) * 0.6 + bearing
        line = point + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * 0.22, axis=0)
        markings.add_strip("crack", line, rng.uniform(0.008, 0.03), rng.uniform(0.5, 1.0))
    for _ in range(rng.choice([0, 0, 3, 8])):
        # Tar poured over an old crack, or the edge of a resurfaced strip.
        start = rng.uniform(low, high)
        direction = axis if rng.random() < 0.6 else rng.normal(size=2)
        direction = direction / np.linalg.norm(direction)
        line = start + direction * np.linspace(0, rng.uniform(4, 25), 40)[:, None]
        line = line + np.cumsum(rng.normal(0, 0.03, line.shape), axis=0)
        markings.add_strip("seam", line, rng.uniform(0.05, 0.13), rng.uniform(0.4, 0.9))


def _add_chalk_box(markings: Markings, cone: Cone, strength: float, rng: np.random.Generator) -> None:
    half = cone.shape.base / 2 * rng.uniform(1.1, 1.4)
    turn = cone.yaw + rng.normal(0, 0.1)
    corner = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [1, 1]]) * half + rng.normal(0, 0.012, (5, 2))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corner = corner @ rotation.T + [cone.x, cone.y]
    for start, end in pairwise(corner):
        markings.add_strip("paint", np.stack([start, end]), 0.018, strength)
