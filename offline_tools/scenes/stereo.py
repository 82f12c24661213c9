# SPDX-License-Identifier: AGPL-3.0-only
"""Stereo pairs with exact truth: a car that drives a track, and cones at known ranges for depth benchmarks.

Both eyes are drawn on their own from the same world, so every cone and every patch of ground has the disparity
f * B / Z of its depth Z.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from offline_tools.scenes.camera import ZED_2I_720P, ZED_2I_BASELINE_M, Camera, Intrinsics, look_along
from offline_tools.scenes.dataset import Picture
from offline_tools.scenes.photometric import Sensor, auto_exposure, develop, sample_sensor
from offline_tools.scenes.render import render_view
from offline_tools.scenes.scene import Scene, SceneConfig, build_scene, sample_config


@dataclass(frozen=True)
class StereoRig:
    """A rectified pair: both eyes have the same lens; the right one sits `baseline` metres to the right."""

    lens: Intrinsics = ZED_2I_720P
    baseline: float = ZED_2I_BASELINE_M

    def calibration(self) -> dict[str, float | int]:
        """fx, fy, cx, cy (pixels), baseline (metres), width, height (pixels)."""
        lens = self.lens
        return {
            "fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy,
            "baseline": self.baseline, "width": lens.width, "height": lens.height,
        }  # fmt: skip

    def projections(self) -> tuple[np.ndarray, np.ndarray]:
        """P of the left and of the right CameraInfo, (3, 4) each."""
        lens = self.lens
        left = np.array([[lens.fx, 0, lens.cx, 0], [0, lens.fy, lens.cy, 0], [0, 0, 1, 0]], float)
        right = left.copy()
        right[0, 3] = -lens.fx * self.baseline
        return left, right


@dataclass(frozen=True, eq=False)
class StereoCone:
    """A cone as both eyes see it.

    Args:
        cone: its index in the scene, the same in all frames.
        class_index: FSOCO order.
        position: (3,) centre of its base in the left optical frame, metres.
        disparity: f * B / Z of that point, pixels.
        boxes: visible box x1, y1, x2, y2 (pixels) in the left and in the right picture.
        full_boxes: the same of the whole cone.
        visibility: seen share in the left and in the right picture, 0 where it is out of view.
    """

    cone: int
    class_index: int
    position: np.ndarray
    disparity: float
    boxes: tuple[np.ndarray | None, np.ndarray | None]
    full_boxes: tuple[np.ndarray | None, np.ndarray | None]
    visibility: tuple[float, float]


@dataclass(frozen=True, eq=False)
class StereoFrame:
    """A pair of pictures (H, W, 3) uint8 BGR, `seconds` after the first, with all cones seen by an eye."""

    seconds: float
    left: Picture
    right: Picture
    cones: list[StereoCone]


def render_pair(
    scene: Scene,
    rig: StereoRig,
    left: Camera,
    car_pose: tuple[float, float, float],
    sensor: Sensor,
    rng: np.random.Generator,
    gain: float | None = None,
    seconds: float = 0.0,
) -> StereoFrame:
    """Draws one pair; `left` is the left camera, `gain` the exposure shared by both eyes (automatic by default)."""
    pictures = []
    for camera in (left, left.shifted(rig.baseline)):
        radiance, views = render_view(scene, camera, car_pose)
        if gain is None:
            gain = auto_exposure(radiance)
        pictures.append(Picture(develop(radiance, sensor, gain, rng), views))
    return StereoFrame(seconds, pictures[0], pictures[1], _merge(rig, pictures[0], pictures[1]))


def _merge(rig: StereoRig, left: Picture, right: Picture) -> list[StereoCone]:
    by_cone = [{view.cone: view for view in picture.cones} for picture in (left, right)]
    cones = []
    for cone in sorted(by_cone[0].keys() | by_cone[1].keys()):
        views = [by_cone[0].get(cone), by_cone[1].get(cone)]
        one, other = views
        if one is not None:
            position, class_index = one.position, one.class_index
        elif other is not None:
            position, class_index = other.position + np.array([rig.baseline, 0.0, 0.0]), other.class_index
        else:
            continue
        cones.append(
            StereoCone(
                cone,
                class_index,
                position,
                float(rig.lens.fx * rig.baseline / position[2]),
                (one.box if one else None, other.box if other else None),
                (one.full_box if one else None, other.full_box if other else None),
                (one.visibility if one else 0.0, other.visibility if other else 0.0),
            )
        )
    return cones


def drive(
    config: SceneConfig,
    sensor: Sensor,
    *,
    start: float = -10.0,
    speed: float = 8.0,
    rate: float = 15.0,
    count: int = 40,
    pitch: float = 0.07,
    rig: StereoRig | None = None,
) -> Iterator[StereoFrame]:
    """Pairs from a car that follows its track.

    Args:
        start: place of the first pair, metres from the track's start (the timing line of a circuit).
        speed: metres a second.
        rate: pairs a second.
        count: number of pairs.
        pitch: mean of the camera's pitch in radians, positive looks down; the car rocks about it.
    """
    rig = rig or StereoRig()
    scene = build_scene(config)
    rng = np.random.default_rng([config.seed, 77])
    phase = rng.uniform(0, 6.28, 4)
    gain = None
    for number in range(count):
        seconds = number / rate
        place, heading = scene.track.pose(start + speed * seconds)
        rock = 0.004 * np.sin(9.0 * seconds + phase[0]) + 0.002 * np.sin(23.0 * seconds + phase[1])
        roll = 0.005 * np.sin(6.0 * seconds + phase[2]) + 0.002 * np.sin(19.0 * seconds + phase[3])
        camera = look_along(rig.lens, np.array([*place, config.camera_height]), heading, pitch + rock, roll)
        if gain is None:
            gain = auto_exposure(render_view(scene, camera, (place[0], place[1], heading))[0])
        yield render_pair(scene, rig, camera, (place[0], place[1], heading), sensor, rng, gain, seconds)


def benchmark_frames(count: int, seed: int = 0, rig: StereoRig | None = None) -> Iterator[StereoFrame]:
    """Pairs for measuring depth: cones of all classes, spread evenly over 3 to 20 m, in any weather.

    The sensor is a stereo camera's: moderate blur and noise, no earlier compression.
    """
    rig = rig or StereoRig()
    for number in range(count):
        rng = np.random.default_rng([seed, number, 31])
        config = replace(sample_config(rng), layout="ladder", odd_share=0.0, camera_height=float(rng.uniform(0.9, 1.2)))
        drawn = sample_sensor(rng, config.weather)
        sensor = replace(
            drawn,
            exposure=drawn.exposure * 0.5,
            defocus=min(drawn.defocus, 0.7),
            motion=min(drawn.motion, 2.0),
            noise=min(drawn.noise, 4.0),
            detail=1.0,
            jpeg=0,
        )
        camera = look_along(
            rig.lens,
            np.array([0.0, 0.0, config.camera_height]),
            rng.normal(0, 0.02),
            rng.normal(0.06, 0.02),
            rng.normal(0, 0.012),
        )
        yield render_pair(build_scene(config), rig, camera, (0.0, 0.0, 0.0), sensor, rng, seconds=float(number))
