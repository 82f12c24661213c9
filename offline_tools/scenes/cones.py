# SPDX-License-Identifier: AGPL-3.0-only
"""Formula Student cones as lofted bodies.

Sizes follow the Formula Student rules and the competition handbook: 228 x 228 x 325 mm for the small cones, 285 x 285 x
505 mm for the large orange one. Blue cones carry a white band, yellow ones a black band, small orange ones one
white band, large orange ones two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from offline_tools.scenes.light import Light, linear
from offline_tools.scenes.mesh import Mesh, loft

BLUE, LARGE_ORANGE, ORANGE, UNKNOWN, YELLOW = range(5)


@dataclass(frozen=True)
class ConeShape:
    """Height and base width in metres; `bands` are (low, high) shares of the height."""

    height: float
    base: float
    bands: tuple[tuple[float, float], ...]


SMALL = ConeShape(0.325, 0.228, ((0.44, 0.70),))
LARGE = ConeShape(0.505, 0.285, ((0.34, 0.50), (0.64, 0.80)))

# Share of the height, share of the half base, and exponent of the superellipse (2 a circle, 9 nearly a square).
_PROFILE = np.array(
    [
        [0.000, 0.05, 2.0],
        [0.000, 1.00, 9.0],
        [0.050, 0.99, 9.0],
        [0.072, 0.95, 7.0],
        [0.085, 0.78, 2.6],
        [0.130, 0.70, 2.0],
        [0.200, 0.63, 2.0],
        [0.960, 0.235, 2.0],
        [0.990, 0.22, 2.0],
        [1.000, 0.19, 2.0],
        [1.000, 0.13, 2.0],
        [0.960, 0.12, 2.0],
    ]
)


@dataclass(frozen=True, eq=False)
class Cone:
    """One cone of a scene.

    Args:
        class_index: index into `cone_detector.classes.CLASS_NAMES`.
        x, y: centre of the base on the ground, metres, world frame.
        shape: size and bands.
        body, band: linear BGR albedo (3,).
        yaw: radians.
        lean: radians from upright; more than 1 means knocked over.
        lean_heading: radians, where it leans to.
        dirt: 0 clean to 1 filthy.
        gloss: strength of the highlight, 0..1.
        seed: of its stains.
    """

    class_index: int
    x: float
    y: float
    shape: ConeShape
    body: np.ndarray
    band: np.ndarray
    yaw: float = 0.0
    lean: float = 0.0
    lean_heading: float = 0.0
    dirt: float = 0.2
    gloss: float = 0.3
    seed: int = 0

    @property
    def upright(self) -> bool:
        """Whether it stands on its base."""
        return self.lean < 0.5


def make_cone(class_index: int, x: float, y: float, rng: np.random.Generator) -> Cone:
    """A cone of the class with natural spread of colour, dirt and placement."""
    yaw, dirt = rng.uniform(0, np.pi / 2), rng.beta(1.2, 4.0)
    lean = abs(rng.normal(0, 0.015))
    shape = LARGE if class_index == LARGE_ORANGE else SMALL
    white, black = linear((235, 236, 233)), linear((34, 32, 32))
    if class_index == UNKNOWN:
        return _unknown(x, y, rng)
    if class_index == BLUE:
        mix = rng.random()
        body = linear((150, 62, 14)) * (1 - mix) + linear((215, 125, 22)) * mix
        band = white
    elif class_index == YELLOW:
        mix = rng.random()
        body = linear((10, 205, 240)) * (1 - mix) + linear((12, 160, 250)) * mix
        band = black
    else:
        mix = rng.random()
        body = linear((22, 52, 225)) * (1 - mix) + linear((16, 92, 250)) * mix
        band = white
    body = body * rng.uniform(0.75, 1.1)
    return Cone(
        class_index, x, y, shape, body, band, yaw, lean, rng.uniform(0, 6.28), dirt, rng.uniform(0.05, 0.6),
        int(rng.integers(1 << 30)),
    )  # fmt: skip


def _unknown(x: float, y: float, rng: np.random.Generator) -> Cone:
    """Off-colour, without a band, knocked over, or too dirty to name."""
    kind = rng.choice(["off_colour", "bare", "knocked", "filthy"], p=[0.42, 0.08, 0.40, 0.10])
    palette = [
        (52, 150, 40),
        (40, 20, 165),
        (225, 225, 225),
        (120, 120, 122),
        (150, 60, 190),
        (35, 35, 36),
        (90, 190, 60),
    ]
    colour = linear(palette[rng.integers(len(palette))]) * rng.uniform(0.7, 1.1)
    shape, lean = SMALL, abs(rng.normal(0, 0.02))
    band = linear((235, 236, 233)) if rng.random() < 0.6 else linear((34, 32, 32))
    dirt = rng.beta(1.5, 3.0)
    if kind == "bare":
        base = make_cone(int(rng.choice([ORANGE, BLUE, YELLOW])), x, y, rng)
        colour = band = base.body * 0.35 + linear((165, 165, 165)) * 0.65
    elif kind != "off_colour":
        base = make_cone(int(rng.choice([ORANGE, BLUE, YELLOW, LARGE_ORANGE])), x, y, rng)
        colour, band, shape = base.body, base.band, base.shape
        if kind == "knocked":
            lean = np.pi / 2
        else:
            mud = linear((46, 54, 62)) * rng.uniform(0.5, 1.8)
            colour, band = colour * 0.12 + mud * 0.88, band * 0.15 + mud * 0.85
            dirt = rng.uniform(1.0, 1.6)
    return Cone(
        UNKNOWN, x, y, shape, colour, band, rng.uniform(0, 6.28), lean, rng.uniform(0, 6.28), dirt,
        rng.uniform(0.05, 0.4), int(rng.integers(1 << 30)),
    )  # fmt: skip


def _levels(shape: ConeShape, pixels: float) -> np.ndarray:
    """Profile rows (R, 3), with the edges of the bands among them and finer steps for a cone that looks large."""
    steps = int(np.clip(pixels / 6, 6, 26))
    heights = np.unique(np.concatenate([np.linspace(0.20, 0.96, steps), *np.array(shape.bands)]))
    side = np.interp(heights, _PROFILE[6:8, 0], _PROFILE[6:8, 1])
    middle = np.stack([heights, side, np.full(len(heights), 2.0)], axis=1)
    return np.concatenate([_PROFILE[:6], middle, _PROFILE[8:]])


def cone_mesh(cone: Cone, pixels: float) -> tuple[Mesh, np.ndarray]:
    """The cone's surface in the world, kept for the next picture; the arrays are shared and must not be written to.

    Args:
        pixels: its height on the image, which sets the number of quads.

    Returns:
        The mesh and (Q,) shares of ground occlusion: darkening of the lowest parts.
    """
    # A few levels of detail, a factor of 1.4 apart.
    return _detailed_mesh(cone, float(2.0 ** (np.ceil(2 * np.log2(np.clip(pixels, 8, 256))) / 2)))


@lru_cache(maxsize=1024)
def _detailed_mesh(cone: Cone, pixels: float) -> tuple[Mesh, np.ndarray]:
    levels = _levels(cone.shape, pixels)
    count = int(np.clip(pixels / 2.2, 16, 56)) // 4 * 4
    angle = np.arange(count) * (2 * np.pi / count)
    cosine, sine = np.cos(angle), np.sin(angle)
    exponent = levels[:, 2:3]
    radius = (np.abs(cosine) ** exponent + np.abs(sine) ** exponent) ** (-1 / exponent)
    radius = radius * levels[:, 1:2] * cone.shape.base / 2
    local = np.stack(
        [radius * cosine, radius * sine, np.repeat(levels[:, :1] * cone.shape.height, count, axis=1)], axis=-1
    )
    vertices, quads = loft(local)
    share = (levels[:-1, 0] + levels[1:, 0]) / 2
    banded = np.zeros(len(share), bool)
    for low, high in cone.shape.bands:
        banded |= (share > low) & (share < high)
    albedo = np.where(banded[:, None], cone.band, cone.body)[:, None, :].repeat(count, axis=1)
    albedo *= _stains(cone, share, angle)[..., None]
    dust = np.clip(cone.dirt * (1.1 - share) * 0.5, 0, 0.75)[:, None, None]
    albedo = albedo * (1 - dust) + linear((78, 92, 104)) * dust
    albedo[-1] *= 0.15
    albedo[0] *= 0.3
    occlusion = np.clip(0.35 * np.exp(-share / 0.06), 0, 0.5)[:, None].repeat(count, axis=1)
    mesh = Mesh(
        _placed(cone, vertices),
        quads,
        albedo.reshape(-1, 3).astype(np.float32),
        np.full(len(quads), cone.gloss * max(0.0, 1 - cone.dirt), np.float32),
    )
    return mesh, occlusion.reshape(-1)


def _stains(cone: Cone, share: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Brightness (R, M) of dirt and tyre scuffs, periodic around the cone."""
    rng = np.random.default_rng(cone.seed)
    stain = np.zeros((len(share), len(angle)))
    for turns in (1, 2, 3, 5, 8):
        phase = rng.uniform(0, 6.28) + rng.uniform(-6, 6) * turns * share[:, None]
        stain += rng.normal() / turns**0.6 * np.sin(turns * angle[None, :] + phase)
    grain = rng.normal(0, 0.05, stain.shape)
    scuffs = np.clip(stain - 1.3 + cone.dirt, 0, 1)
    return np.clip(1.0 + 0.10 * cone.dirt * stain + cone.dirt * grain - 0.5 * scuffs * min(cone.dirt, 1.0), 0.25, 1.25)


def _placed(cone: Cone, vertices: np.ndarray) -> np.ndarray:
    yaw = np.array([[np.cos(cone.yaw), -np.sin(cone.yaw), 0], [np.sin(cone.yaw), np.cos(cone.yaw), 0], [0, 0, 1]])
    points = vertices @ yaw.T
    if cone.lean:
        tilt = cone.lean
        if not cone.upright:
            # A lying cone rests on the rim of its base and on its tip.
            tilt += np.arctan2(cone.shape.base / 2, cone.shape.height) * 0.8
        axis = np.array([-np.sin(cone.lean_heading), np.cos(cone.lean_heading), 0.0])
        cross = np.cross(axis, points)
        along = (points @ axis)[:, None] * axis
        points = points * np.cos(tilt) + cross * np.sin(tilt) + along * (1 - np.cos(tilt))
        points[:, 2] -= points[:, 2].min()
        if not cone.upright:
            points[:, :2] -= (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
    return points + np.array([cone.x, cone.y, 0.0])


def self_shadow(cone: Cone, points: np.ndarray, light: Light) -> np.ndarray:
    """Share of the sun (N,) that an upright cone's own body takes from points (N, 3) of its base."""
    if not cone.upright or not light.sun.any():
        return np.zeros(len(points))
    height, half = cone.shape.height, cone.shape.base / 2
    steps = np.linspace(0.03, 1.2, 14)[None, :, None] * height / max(light.sun_direction[2], 0.15) * 0.6
    path = points[:, None, :] + steps * light.sun_direction
    share = np.clip(path[..., 2] / height, 0, 1.2)
    body = np.interp(share, _PROFILE[5:8, 0], _PROFILE[5:8, 1], right=0.0) * half
    inside = np.hypot(path[..., 0] - cone.x, path[..., 1] - cone.y) < body
    low = points[:, 2] < 0.12 * height
    return (inside.any(axis=1) & low).astype(float)


def silhouette(cone: Cone) -> np.ndarray:
    """Points (N, 3) whose hull is the cone, for cast shadows."""
    mesh, _ = cone_mesh(cone, 20)
    return mesh.vertices
