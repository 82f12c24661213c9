# SPDX-License-Identifier: AGPL-3.0-only
"""The car's own body as its cameras see it: nose, cockpit, front wheels and suspension arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline_tools.scenes.light import linear
from offline_tools.scenes.mesh import Mesh, loft

_LIVERIES = ((30, 30, 32), (215, 215, 215), (96, 48, 22), (44, 34, 150), (26, 24, 24), (62, 112, 62), (70, 36, 14))


@dataclass(frozen=True, eq=False)
class Car:
    """A body in the car's frame: x forward, y left, z up, origin on the ground below the camera; metres."""

    parts: tuple[Mesh, ...]

    def placed(self, x: float, y: float, heading: float) -> tuple[Mesh, ...]:
        """The parts in the world."""
        cosine, sine = np.cos(heading), np.sin(heading)
        rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return tuple(
            Mesh(part.vertices @ rotation.T + [x, y, 0], part.quads, part.albedo, part.gloss) for part in self.parts
        )


def make_car(rng: np.random.Generator, camera_height: float) -> Car:
    """Draws a car of random size and livery that fits under a camera at `camera_height` metres."""
    lift = min(camera_height - 0.30, 0.75) * rng.uniform(0.85, 1.0)
    paint, trim = (linear(_LIVERIES[i]) for i in rng.choice(len(_LIVERIES), 2, replace=False))
    tip = rng.uniform(1.4, 2.2)
    parts = [_nose(rng, lift, tip, paint, trim)]
    if rng.random() < 0.5:
        parts += _controls(rng, lift)
    if rng.random() < 0.25:
        # A tube of the roll hoop at one edge of a wide picture.
        side = rng.choice([-1.0, 1.0])
        foot = [rng.uniform(0.28, 0.4), side * rng.uniform(0.32, 0.5), 0.3]
        parts.append(_rod(foot, [foot[0] - 0.06, foot[1] - side * 0.08, camera_height + 0.7], rng.uniform(0.012, 0.02)))
    if rng.random() < 0.4:
        parts.append(_slab([tip - 0.25, 0.0, 0.11], [0.24, 0.62, 0.012], linear((28, 28, 29))))
        for side in (-0.63, 0.63):
            parts.append(_slab([tip - 0.22, side, 0.17], [0.26, 0.008, 0.12], trim))
    if rng.random() < 0.75:
        axle, track = rng.uniform(0.75, 1.4), rng.uniform(0.52, 0.68)
        rim = linear(((62, 62, 64), (20, 20, 21), (48, 96, 128))[rng.choice(3, p=[0.55, 0.3, 0.15])])
        for side in (-1, 1):
            parts.append(_wheel(axle, side * track, rim, rng))
            for shift in (-0.22, 0.12, 0.0):
                low = 0.30 if shift else 0.40
                parts.append(_rod([axle + shift, side * 0.2, low - 0.02], [axle, side * (track - 0.1), low - 0.06]))
    if rng.random() < 0.3:
        for side in (-0.09, 0.09):
            parts.append(_rod([tip * 0.7, side, lift * 0.75], [tip * 0.7 - 0.02, side, lift * 0.75 + 0.16], 0.004))
    return Car(tuple(parts))


def _superellipse(angle: np.ndarray, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.cos(angle), np.sin(angle)
    radius = (np.abs(cosine) ** exponent + np.abs(sine) ** exponent) ** (-1 / exponent)
    return radius * cosine, radius * sine


def _nose(rng: np.random.Generator, lift: float, tip: float, paint: np.ndarray, trim: np.ndarray) -> Mesh:
    stations, segments = np.linspace(0.25, tip, 40), 96
    share = (stations - stations[0]) / (tip - stations[0])
    front = rng.uniform(0.09, 0.16)
    half_width = np.interp(share, [0, 0.3, 0.6, 0.95, 0.985, 1], [0.31, 0.25, 0.2, front, front * 0.8, 0.02])
    sag = rng.uniform(0.5, 0.75)
    top = lift * np.interp(share, [0, 0.3, 0.36, 0.95, 0.985, 1], [0.9, 0.95, 1.0, sag, sag * 0.95, sag * 0.85])
    bottom = np.interp(share, [0, 0.95, 1], [0.1, 0.14, 0.22])
    angle = np.arange(segments) * 2 * np.pi / segments
    across, upward = _superellipse(angle, 3.0)
    height = (top + bottom)[:, None] / 2 + (top - bottom)[:, None] / 2 * upward
    open_cockpit = rng.random() < 0.75
    hollow = open_cockpit & (share[:, None] < 0.33) & (np.abs(across) < 0.8) & (upward > 0)
    height = np.where(hollow, np.minimum(height, 0.45 * lift), height)
    rings = np.stack([np.repeat(stations[:, None], segments, axis=1), half_width[:, None] * across, height], axis=-1)
    vertices, quads = loft(rings)
    albedo = np.repeat(paint[None, :], len(quads), axis=0)
    ring, segment = np.divmod(np.arange(len(quads)), segments)
    offset = np.abs(segment - segments / 4 + 0.5)
    if rng.random() < 0.6:
        edges = rng.uniform(0, 20, 2)
        albedo[(offset > edges.min()) & (offset < edges.max())] = trim
    for _ in range(rng.integers(0, 14)):
        first, wide = rng.integers(14, 36), rng.integers(1, 5)
        at, tall = rng.integers(4, 44), rng.integers(2, 8)
        sticker = (ring >= first) & (ring < first + wide) & (segment >= at) & (segment < at + tall)
        albedo[sticker] = linear((220, 220, 220)) if rng.random() < 0.6 else linear(rng.uniform(20, 220, 3))
    albedo[hollow[ring, segment]] = linear((20, 20, 21))
    gloss = np.where(hollow[ring, segment], 0.05, rng.uniform(0.2, 0.8))
    return Mesh(vertices, quads, albedo, gloss.astype(np.float32))


def _controls(rng: np.random.Generator, lift: float) -> list[Mesh]:
    """A steering wheel before the dashboard, with buttons, and sometimes the driver's gloves on it."""
    at, height = rng.uniform(0.5, 0.62), lift * rng.uniform(0.82, 0.98)
    segments = 48
    angle = np.arange(segments) * 2 * np.pi / segments + rng.normal(0, 0.25)
    across, upward = _superellipse(angle, 3.0)
    sizes = np.array([0.02, 0.35, 0.7, 0.8, 1.0, 1.0, 0.1])
    depths = np.array([0.0, 0.0, 0.0, -0.012, -0.008, 0.02, 0.02])
    rings = np.stack(
        [
            # The wheel leans forward, its face towards the driver.
            at + depths[:, None] + 0.04 * sizes[:, None] * upward,
            0.125 * sizes[:, None] * across,
            height + 0.085 * sizes[:, None] * upward,
        ],
        axis=-1,
    )
    vertices, quads = loft(rings)
    albedo = np.repeat(linear((30, 30, 31))[None, :], len(quads), axis=0)
    buttons = rng.random(len(quads)) < 0.12
    face = np.arange(len(quads)) < 2 * segments
    albedo[buttons & face] = linear(rng.uniform(20, 230, (int((buttons & face).sum()), 3)))
    wheel = Mesh(vertices, quads, albedo, np.full(len(quads), 0.3, np.float32))
    screen = _slab([at + 0.2, 0.0, lift * 0.85], [0.012, 0.06, 0.04], linear(rng.uniform(50, 130, 3)))
    parts = [screen, wheel]
    if rng.random() < 0.6:
        glove = linear(((52, 52, 54), (120, 160, 185), (190, 195, 195), (40, 40, 150))[rng.integers(4)])
        for side in (-1, 1):
            parts.append(_blob([at - 0.02, side * 0.125, height + rng.normal(0, 0.03)], [0.045, 0.035, 0.05], glove))
            parts.append(_rod([at - 0.04, side * 0.13, height - 0.02], [0.2, side * 0.22, height - 0.18], 0.04))
    return parts


def _blob(centre: list[float], half: list[float], colour: np.ndarray) -> Mesh:
    """An ellipsoid with its poles up and down."""
    level = np.linspace(-0.98, 0.98, 9)[:, None]
    angle = np.arange(16)[None, :] * 2 * np.pi / 16
    round_ = np.sqrt(1 - level**2)
    rings = np.stack(
        [half[0] * round_ * np.cos(angle), half[1] * round_ * np.sin(angle), half[2] * level + 0 * angle], axis=-1
    )
    vertices, quads = loft(np.array(centre) + rings)
    return Mesh(vertices, quads, np.repeat(colour[None, :], len(quads), axis=0), np.full(len(quads), 0.1, np.float32))


def _slab(centre: list[float], half: list[float], colour: np.ndarray) -> Mesh:
    """A flat box; `half` holds its half extents."""
    angle = np.pi / 4 + np.arange(4) * np.pi / 2
    ring = np.stack([np.cos(angle) * 2**0.5 * half[0], np.sin(angle) * 2**0.5 * half[1], np.zeros(4)], axis=-1)
    heights = np.array([-1.0, 1.0, 1.0])[:, None, None] * [0, 0, half[2]]
    scale = np.array([1.0, 1.0, 0.0])[:, None, None]
    vertices, quads = loft(np.array(centre) + ring * scale + heights)
    return Mesh(vertices, quads, np.repeat(colour[None, :], len(quads), axis=0), np.full(len(quads), 0.4, np.float32))


def _wheel(x: float, y: float, rim: np.ndarray, rng: np.random.Generator) -> Mesh:
    radius, width = 0.235, rng.uniform(0.18, 0.24)
    profile = np.array(
        [[-0.30, 0.01], [-0.38, 0.10], [-0.46, 0.13], [-0.5, 0.145], [-0.52, 0.18], [-0.5, 0.21], [-0.45, 0.226],
         [-0.36, 0.233], [-0.12, 0.235], [0.12, 0.235], [0.36, 0.233], [0.45, 0.226], [0.5, 0.21], [0.52, 0.18],
         [0.5, 0.145], [0.46, 0.13], [0.38, 0.10], [0.30, 0.01]]
    )  # fmt: skip
    segments = 64
    angle = np.arange(segments) * 2 * np.pi / segments
    rings = np.stack(
        [
            x + profile[:, 1:] * np.sin(angle),
            np.repeat(y + profile[:, :1] * width, segments, axis=1),
            radius + profile[:, 1:] * np.cos(angle),
        ],
        axis=-1,
    )
    vertices, quads = loft(rings)
    albedo = np.repeat(linear((46, 45, 45))[None, :], len(quads), axis=0)
    ring = np.arange(len(quads)) // segments
    albedo[(ring < 2) | (ring > 14)] = rim
    albedo *= np.interp(np.abs(ring - 8), [0, 3, 8], [1.35, 1.0, 0.9])[:, None] * rng.uniform(
        0.93, 1.07, (len(quads), 1)
    )
    return Mesh(vertices, quads, albedo.astype(np.float32), np.full(len(quads), 0.1, np.float32))


def _rod(start: list[float], end: list[float], radius: float = 0.013) -> Mesh:
    line = np.array(end) - np.array(start)
    along = line / np.linalg.norm(line)
    side = np.cross(along, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    upward = np.cross(along, side)
    angle = np.arange(6) * np.pi / 3
    circle = radius * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * upward)
    rings = np.array(start) + np.linspace(0, 1, 5)[:, None, None] * line + circle
    vertices, quads = loft(rings)
    return Mesh(vertices, quads, np.repeat(linear((32, 32, 34))[None, :], len(quads), axis=0), np.full(len(quads), 0.4))
