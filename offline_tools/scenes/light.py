# SPDX-License-Identifier: AGPL-3.0-only
"""Sun and sky: five kinds of weather as linear BGR radiances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WEATHERS = ("sunny", "overcast", "low_sun", "wet", "dusk")


@dataclass(frozen=True, eq=False)
class Light:
    """What lights the scene; colours are linear BGR (3,), 1 is about a white sheet under open sky.

    Args:
        sun_direction: unit vector (3,) towards the sun, world frame.
        sun: direct irradiance on a surface that faces the sun; zero behind clouds.
        sky: irradiance from the whole sky on a level surface.
        zenith, horizon: radiance of the clear sky above and at the horizon.
        cloud_cover: 0 (clear) to 1 (closed).
        shadow_softness: blur of cast shadows, 0 sharp to 1 gone.
        wetness: 0 dry to 1 standing water.
    """

    sun_direction: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    cloud_cover: float
    shadow_softness: float
    wetness: float

    @property
    def level(self) -> np.ndarray:
        """Irradiance (3,) on open level ground."""
        return self.sky + self.sun * max(self.sun_direction[2], 0.0)


def make_light(weather: str, rng: np.random.Generator, heading: float = 0.0) -> Light:
    """Draws a light of the named weather; half the low suns stand before a car that drives along `heading`."""
    if weather not in WEATHERS:
        raise ValueError(f"unknown weather {weather!r}: choose one of {', '.join(WEATHERS)}")
    azimuth = rng.uniform(-np.pi, np.pi)
    elevation = np.radians(rng.uniform(28, 65))
    tint = rng.normal(1.0, 0.03, 3)
    sun, sky = np.zeros(3), np.array([0.62, 0.6, 0.58])
    zenith, horizon = np.array([0.62, 0.62, 0.62]), np.array([0.85, 0.85, 0.85])
    cover, softness, wetness = 1.0, 0.5, 0.0
    if weather == "sunny":
        haze = rng.uniform(0, 1)
        sun = np.array([0.86, 0.96, 1.0]) * rng.uniform(1.2, 2.2)
        sky = np.array([0.72, 0.60, 0.50]) * rng.uniform(0.4, 0.7)
        zenith = np.array([0.62, 0.30, 0.11]) * (1 - haze) + np.array([0.72, 0.52, 0.36]) * haze
        horizon = np.array([0.95, 0.82, 0.70]) * rng.uniform(0.85, 1.1)
        cover, softness = rng.choice([0.0, 0.12, 0.3, 0.45]), 0.0
    elif weather == "low_sun":
        if rng.random() < 0.5:
            azimuth = heading + rng.normal(0, 0.35)
        elevation = np.radians(rng.uniform(6, 17))
        sun = np.array([0.42, 0.72, 1.0]) * rng.uniform(1.5, 2.6)
        sky = np.array([0.55, 0.48, 0.44]) * rng.uniform(0.4, 0.7)
        zenith = np.array([0.60, 0.42, 0.28])
        horizon = np.array([0.62, 0.82, 1.0]) * rng.uniform(0.9, 1.3)
        cover, softness = rng.choice([0.0, 0.15, 0.35]), 0.02
    elif weather == "overcast":
        sun = np.array([0.9, 0.97, 1.0]) * rng.choice([0.0, 0.12, 0.3])
        sky = sky * rng.uniform(0.8, 1.2)
        zenith, horizon = zenith * rng.uniform(0.7, 1.1), horizon * rng.uniform(0.8, 1.1)
        cover = rng.uniform(0.8, 1.0)
    elif weather == "wet":
        sky = sky * rng.uniform(0.6, 0.9)
        zenith, horizon = zenith * 0.8, horizon * rng.uniform(0.7, 0.95)
        wetness = rng.uniform(0.45, 1.0)
    else:
        sky = np.array([0.62, 0.46, 0.40]) * 0.35
        zenith, horizon = np.array([0.30, 0.18, 0.12]), np.array([0.34, 0.42, 0.55]) * rng.uniform(0.7, 1.2)
        cover, softness = rng.uniform(0.0, 0.6), 1.0
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    return Light(
        direction, sun * tint, sky * tint, zenith * tint, horizon * tint, float(cover), float(softness), wetness
    )


def linear(bgr: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """sRGB-coded BGR in 0..255 as linear 0..1, float32."""
    coded = np.asarray(bgr, np.float32) / 255.0
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)
