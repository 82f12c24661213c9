# SPDX-License-Identifier: AGPL-3.0-only
"""A scene: track, ground, surroundings, light and car, drawn from a few choices and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline_tools.scenes.background import ENVIRONMENTS, Standing, make_background
from offline_tools.scenes.car import Car, make_car
from offline_tools.scenes.cones import Cone
from offline_tools.scenes.ground import SURFACES, Ground, make_ground
from offline_tools.scenes.light import WEATHERS, Light, make_light
from offline_tools.scenes.markings import Markings, add_cone_shadows, scatter_markings
from offline_tools.scenes.track import Track, make_track


@dataclass(frozen=True)
class SceneConfig:
    """The choices behind a scene; the seed decides the rest.

    Args:
        layout: one of `track.LAYOUTS`.
        weather: one of `light.WEATHERS`.
        surface: one of `ground.SURFACES`.
        environment: one of `background.ENVIRONMENTS`.
        odd_share: share of the cones that become unknown ones.
        car: whether the car's own body is in the picture.
        camera_height: metres above the ground; the car is built to fit below.
    """

    seed: int
    layout: str = "circuit"
    weather: str = "sunny"
    surface: str = "asphalt"
    environment: str = "airfield"
    odd_share: float = 0.04
    car: bool = True
    camera_height: float = 1.05


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a camera can see; see the classes of the parts."""

    config: SceneConfig
    track: Track
    ground: Ground
    markings: Markings
    background: tuple[Standing, ...]
    light: Light
    car: Car | None

    @property
    def cones(self) -> tuple[Cone, ...]:
        """All cones of the track."""
        return self.track.cones


def sample_config(rng: np.random.Generator) -> SceneConfig:
    """Draws the choices of a scene for training."""
    return SceneConfig(
        seed=int(rng.integers(1 << 40)),
        layout=str(rng.choice(("circuit", "acceleration", "loose"), p=[0.45, 0.2, 0.35])),
        weather=str(rng.choice(WEATHERS, p=[0.38, 0.22, 0.18, 0.13, 0.09])),
        surface=str(rng.choice(SURFACES, p=[0.36, 0.28, 0.14, 0.14, 0.08])),
        environment=str(rng.choice(ENVIRONMENTS, p=[0.14, 0.16, 0.16, 0.16, 0.19, 0.19])),
        odd_share=float(rng.choice([0.0, 0.05, 0.25], p=[0.5, 0.3, 0.2])),
        car=bool(rng.random() < 0.6),
        camera_height=float(rng.uniform(0.75, 1.5)),
    )


def build_scene(config: SceneConfig) -> Scene:
    """The scene of a configuration; the same configuration always gives the same scene."""
    # One stream a part: a change in one part leaves the others as they were.
    streams = [np.random.default_rng([config.seed, part]) for part in range(6)]
    track = make_track(config.layout, streams[0], config.odd_share)
    low, high = track.centre.min(axis=0), track.centre.max(axis=0)
    light = make_light(config.weather, streams[1], track.pose(0.0)[1])
    ground = make_ground(config.surface, low - 4, high + 4, streams[2])
    markings = scatter_markings(track, config.surface, streams[3])
    add_cone_shadows(markings, track.cones, light)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low) / 2)
    background = make_background(config.environment, middle, radius, streams[4])
    car = make_car(streams[5], config.camera_height) if config.car else None
    return Scene(config, track, ground, markings, background, light, car)
