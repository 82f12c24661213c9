# SPDX-License-Identifier: AGPL-3.0-only
"""The ground plane: asphalt and its neighbours from band-limited noise, vector markings, shadow, wetness and glare."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline_tools.scenes.camera import Camera
from offline_tools.scenes.light import Light, linear
from offline_tools.scenes.markings import Markings, draw_layer
from offline_tools.scenes.noise import sample

SURFACES = ("asphalt", "worn", "crazed", "concrete", "pavers")
FAR_M = 900.0


@dataclass(frozen=True, eq=False)
class Ground:
    """What the ground is made of.

    Args:
        surface: one of `SURFACES`.
        albedo: linear BGR (3,) of the driving surface.
        verge: linear BGR (3,) of the grass or gravel around it.
        paint: linear BGR (3,) of the lines.
        lot: centre x, y, half length, half width (metres) and heading of the paved rectangle.
        roughness: contrast of the grain, about 0.1 to 0.5.
        blotches: contrast of the stains of a metre and more, likewise.
        shade_trees: share of the ground in the shadow of trees and clouds, 0 to 0.6.
        seed: of its noise.
    """

    surface: str
    albedo: np.ndarray
    verge: np.ndarray
    paint: np.ndarray
    lot: tuple[float, float, float, float, float]
    roughness: float
    blotches: float
    shade_trees: float
    seed: int


def make_ground(surface: str, low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> Ground:
    """Draws a ground whose paved rectangle holds the box from `low` (2,) to `high` (2,)."""
    if surface not in SURFACES:
        raise ValueError(f"unknown surface {surface!r}: choose one of {', '.join(SURFACES)}")
    grey = {"asphalt": (82, 135), "worn": (120, 170), "crazed": (120, 170), "concrete": (135, 180), "pavers": (85, 135)}
    shade = rng.uniform(*grey[surface])
    warmth = rng.normal(2, 4)
    albedo = linear((shade - warmth, shade - 0.2 * warmth, shade + warmth))
    grass, gravel = linear((48, 98, 92)), linear((120, 135, 145))
    dry = linear((88, 132, 142))
    mix = rng.random()
    verge = gravel if rng.random() < 0.2 else grass * (1 - mix) + dry * mix
    paint = linear((225, 228, 228)) if rng.random() < 0.8 else linear((40, 170, 215))
    half = (high - low) / 2 + rng.uniform(5, 60, 2)
    middle = (high + low) / 2
    lot = (middle[0], middle[1], half[0], half[1], rng.normal(0, 0.15))
    roughness = {"asphalt": 0.26, "worn": 0.2, "crazed": 0.2, "concrete": 0.12, "pavers": 0.14}[surface]
    return Ground(
        surface, albedo, verge, paint, lot, roughness * rng.uniform(0.7, 1.5), roughness * rng.uniform(0.15, 1.2),
        float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.45])), int(rng.integers(1 << 20)),
    )  # fmt: skip


def large_shadow(ground: Ground, light: Light, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of the sun (as `x`) that trees and clouds beyond the picture take from ground points x, y (metres)."""
    if ground.shade_trees == 0 or not light.sun.any():
        return np.zeros(x.shape, np.float32)
    level = sample("smooth", x, y, 22.0, ground.seed + 1)
    level += 0.35 * sample("smooth", x, y, 2.2, ground.seed + 2)
    level += 0.2 * sample("smooth", x, y, 0.5, ground.seed + 3)
    threshold = np.float32(1.2 - 2.6 * ground.shade_trees)
    return np.clip((level - threshold) * 2.2, 0, 1) * np.float32(0.92 * (1.0 - light.shadow_softness))


def _steps(x: np.ndarray) -> np.ndarray:
    return x * x * (3 - 2 * x)


class GroundView:
    """The ground as one camera sees it; rows above `top` hold none."""

    def __init__(self, camera: Camera) -> None:
        lens = camera.intrinsics
        rays = camera.rays()
        below = (rays[..., 2] < -1e-4).any(axis=1)
        self.top = int(np.argmax(below)) if below.any() else lens.height
        self.camera = camera
        self.rays = rays
        down = np.minimum(rays[self.top :, :, 2], -1e-4)
        self.is_ground = rays[self.top :, :, 2] < -1e-4
        scale = np.minimum(np.float32(camera.position[2]) / -down, np.float32(FAR_M * 3))
        self.x = rays[self.top :, :, 0] * scale + np.float32(camera.position[0])
        self.y = rays[self.top :, :, 1] * scale + np.float32(camera.position[1])
        self.distance = scale
        # Footprint of a pixel: geometric mean of its extent across and along the line of sight.
        across = scale / np.float32(lens.fx)
        self.footprint = across * np.sqrt(np.maximum(scale / np.float32(camera.position[2]), 1.0))

    def octave(
        self, kind: str, wavelength: float, seed: int, out: np.ndarray, amplitude: float, first: int = 0
    ) -> None:
        """Adds one octave of noise to `out`, faded where a pixel holds more than a wave of it.

        Args:
            out: the ground's rows from `first` to some later one, which are all that is drawn.
        """
        footprint = self.footprint[first : first + len(out)]
        rows = np.flatnonzero(footprint.min(axis=1) < wavelength * 1.1)
        if not len(rows):
            return
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        there = slice(first + here.start, first + here.stop)
        fade = np.exp(-((footprint[here] * np.float32(1.25 / wavelength)) ** 2)) * np.float32(amplitude)
        out[here] += fade * sample(kind, self.x[there], self.y[there], wavelength, seed)


def render_ground(view: GroundView, ground: Ground, markings: Markings, light: Light) -> np.ndarray:
    """Radiance (height - top, width, 3) float32, linear BGR, of the ground below `view.top`."""
    seed = ground.seed
    shape = view.x.shape
    grain = np.zeros(shape, np.float32)
    rough, blotches = ground.roughness, ground.blotches
    for wavelength, kind, amplitude in (
        (0.006, "speckle", 0.8), (0.012, "speckle", 0.9), (0.025, "smooth", 0.7), (0.07, "smooth", 0.35),
        (0.25, "smooth", 0.2), (0.9, "smooth", 0.22), (3.5, "smooth", 0.3), (14.0, "smooth", 0.45),
    ):  # fmt: skip
        view.octave(
            kind,
            wavelength,
            seed + int(wavelength * 1000),
            grain,
            amplitude * (rough if wavelength < 0.5 else blotches),
        )
    if ground.surface == "crazed":
        view.octave("cracks", 0.16, seed, grain, -0.75)
    elif ground.surface == "pavers":
        view.octave("pavers", 0.03, seed, grain, 0.3)
    albedo = np.exp(grain)[..., None] * ground.albedo.astype(np.float32)
    tint = np.zeros(shape, np.float32)
    view.octave("smooth", 5.0, seed + 7, tint, 0.05)
    albedo[..., 2] *= 1 + tint
    albedo[..., 0] *= 1 - tint
    layers = {
        name: mask
        for name, polygons in markings.polygons.items()
        if (mask := draw_layer(view.camera, polygons, view.top)) is not None
    }
    wear = np.zeros(shape, np.float32)
    if "paint" in layers or "tyre" in layers:
        view.octave("smooth", 0.05, seed + 11, wear, 0.35)
        view.octave("smooth", 0.4, seed + 12, wear, 0.25)
    for name, target, strength in (
        ("seam", linear((30, 30, 31)), 0.85), ("crack", linear((28, 28, 28)), 0.8),
        ("tyre", linear((26, 26, 27)), 0.55), ("paint", ground.paint, 0.9),
    ):  # fmt: skip
        if name in layers:
            mask = layers[name] * np.float32(strength)
            if name in ("paint", "tyre"):
                mask *= np.clip(1.0 + wear, 0.2, 1.1)
            # Markings cover little of the ground: only their pixels are touched.
            hit = np.nonzero(mask)
            share = np.minimum(mask[hit], 1.0)[:, None]
            below = albedo[hit]
            albedo[hit] = below + share * (target * np.exp(0.4 * grain[hit])[:, None] - below)
    _blend_verge(view, ground, albedo)
    return _light(view, ground, light, albedo, layers)


def _blend_verge(view: GroundView, ground: Ground, albedo: np.ndarray) -> None:
    x0, y0, half_length, half_width, heading = ground.lot
    dx, dy = view.x - np.float32(x0), view.y - np.float32(y0)
    along = np.abs(dx * np.float32(np.cos(heading)) + dy * np.float32(np.sin(heading))) - np.float32(half_length)
    aside = np.abs(dy * np.float32(np.cos(heading)) - dx * np.float32(np.sin(heading))) - np.float32(half_width)
    outside = np.maximum(along, aside)
    rows = np.flatnonzero((outside > -2.0).any(axis=1))
    if not len(rows):
        return
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    shape = (part.stop - part.start, view.x.shape[1])
    edge, blades = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for wavelength, amplitude in ((1.5, 0.35), (0.3, 0.15)):
        view.octave("smooth", wavelength, ground.seed + 21, edge, amplitude, part.start)
    for wavelength, amplitude in ((0.03, 0.35), (0.1, 0.3), (0.6, 0.25), (4.0, 0.2), (25.0, 0.25)):
        view.octave("smooth", wavelength, ground.seed + 23, blades, amplitude, part.start)
    softness = np.maximum(view.footprint[part] * 2, 0.15)
    mask = _steps(np.clip((outside[part] + edge) / softness, 0, 1))[..., None]
    albedo[part] += mask * (np.exp(blades)[..., None] * ground.verge - albedo[part])


def _light(
    view: GroundView, ground: Ground, light: Light, albedo: np.ndarray, layers: dict[str, np.ndarray]
) -> np.ndarray:
    blocked = large_shadow(ground, light, view.x, view.y)
    if "shadow" in layers:
        blocked = np.maximum(blocked, layers["shadow"])
    sky = light.sky.astype(np.float32)
    direct = (light.sun * max(light.sun_direction[2], 0.0)).astype(np.float32)
    ambient = np.ones(view.x.shape, np.float32)
    if "contact" in layers:
        ambient -= 0.8 * cv2.GaussianBlur(layers["contact"], (0, 0), 1.2)
    # Tall neighbours hide part of the sky in their own shadow.
    ambient *= 1.0 - 0.25 * blocked
    radiance = albedo * (ambient[..., None] * sky + (1.0 - blocked)[..., None] * direct)
    water = None
    if light.wetness:
        water = np.full(view.x.shape, light.wetness * 0.55, np.float32)
        pools = np.zeros(view.x.shape, np.float32)
        view.octave("smooth", 6.0, ground.seed + 31, pools, 0.5)
        view.octave("smooth", 1.0, ground.seed + 32, pools, 0.25)
        water += np.clip((pools - (0.9 - light.wetness)) * 4, 0, 1) * 0.6
        water = np.minimum(water, 1.0)
        radiance *= (1.0 - 0.55 * water)[..., None]
    if direct.any():
        rays = view.rays[view.top :]
        upward = (light.sun_direction * [1, 1, -1]).astype(np.float32)
        mirror = cv2.transform(rays, upward[None, :]) / cv2.magnitude(
            cv2.magnitude(rays[..., 0], rays[..., 1]), rays[..., 2]
        )
        # The 16th power, as squares.
        glare = np.maximum(mirror, 0.0)
        for _ in range(4):
            glare *= glare
        glare *= np.float32(0.25) * (1.0 - blocked)
        radiance += glare[..., None] * (light.sun * 0.5).astype(np.float32)
    if water is not None:
        grazing = np.clip(view.distance / np.float32(view.camera.position[2]), 1, 60)
        fresnel = 0.03 + 0.75 * (1.0 - 1.0 / grazing) ** 5
        radiance += (water * fresnel * ambient)[..., None] * (light.horizon * 0.8).astype(np.float32)
    haze = (1.0 - np.exp(-view.distance / np.float32(700.0)))[..., None]
    radiance += haze * (light.horizon.astype(np.float32) * 0.75 - radiance)
    return radiance
