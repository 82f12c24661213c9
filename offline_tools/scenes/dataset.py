# SPDX-License-Identifier: AGPL-3.0-only
"""Writers: a YOLO folder of single pictures, and stereo sequences with calibration and 3D truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from offline_tools.scenes.camera import Camera, Intrinsics, look_along
from offline_tools.scenes.cones import CLASS_NAMES
from offline_tools.scenes.photometric import Sensor, auto_exposure, develop, sample_sensor
from offline_tools.scenes.render import ConeView, render_view
from offline_tools.scenes.scene import Scene, build_scene, sample_config

LABEL_MIN_VISIBILITY = 0.2
LABEL_MIN_HEIGHT = 6.0 / 1280.0
"""Smallest labelled box height as a share of the image's width: 6 px at 1280."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One developed picture (H, W, 3) uint8 BGR and the cones before its camera."""

    image: np.ndarray
    cones: list[ConeView]


def labelled(view: ConeView, width: int) -> bool:
    """Whether a cone is seen well enough to be labelled in a picture of this width."""
    height = view.box[3] - view.box[1]
    return view.visibility >= LABEL_MIN_VISIBILITY and height >= LABEL_MIN_HEIGHT * width


def yolo_rows(views: list[ConeView], width: int, height: int) -> str:
    """Label lines `class x y w h`, normalised to 0..1, of the cones that are labelled."""
    rows = []
    for view in views:
        if labelled(view, width):
            x1, y1, x2, y2 = view.box / [width, height, width, height]
            rows.append(f"{view.class_index} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}")
    return "".join(row + "\n" for row in rows)


def training_picture(seed: int, width: int = 640, height: int = 360) -> Picture:
    """A picture for training: any scene through any camera a team might mount, drawn larger and reduced to `width`."""
    rng = np.random.default_rng([seed, 2024])
    config = sample_config(rng)
    scene = build_scene(config)
    factor = 1.5
    wide, tall = round(width * factor), round(height * factor)
    focal = wide / 2 / np.tan(np.radians(rng.triangular(55, 85, 115)) / 2)
    lens = Intrinsics(
        wide, tall, focal * rng.uniform(0.97, 1.03), focal, wide * rng.normal(0.5, 0.01), tall * rng.normal(0.5, 0.02),
        float(rng.choice([0.0, -rng.uniform(0.02, 0.3)])),
    )  # fmt: skip
    place, heading = _training_place(scene, rng)
    pitch = np.radians(np.clip(rng.normal(6, 4.5), -3, 20))
    camera = look_along(
        lens, np.array([*place, config.camera_height]), heading + rng.normal(0, 0.09), pitch, np.radians(rng.normal(0, 1.3))
    )
    radiance, views = render_view(scene, camera, (place[0], place[1], heading))
    sensor = sample_sensor(rng, config.weather).scaled(factor)
    image = develop(radiance, sensor, auto_exposure(radiance), rng)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Picture(image, [replace(v, box=v.box / factor, full_box=v.full_box / factor) for v in views])


def _training_place(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    layout = scene.config.layout
    if layout == "loose":
        return np.zeros(2), 0.0
    length = len(scene.track.centre) * scene.track.step
    if layout == "circuit":
        # A third of the pictures approach the timing gate, where the rare orange cones stand.
        distance = -rng.uniform(2, 16) if rng.random() < 0.35 else rng.uniform(0, length)
    else:
        distance = rng.uniform(2, length - 25)
    place, heading = scene.track.pose(distance)
    aside = rng.normal(0, 0.5)
    return place + aside * np.array([-np.sin(heading), np.cos(heading)]), heading + rng.normal(0, 0.08)


def write_training_set(folder: Path, count: int, seed: int = 0, quality: int = 90, first: int = 0) -> dict[str, int]:
    """Writes `count` pictures and labels to `folder/images` and `folder/labels`.

    Args:
        seed: start of the pictures' seeds; picture i has the seed `seed + i`.
        quality: of the JPEG files.
        first: number of the first picture, to go on with a set.

    Returns:
        The number of labels of each class.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    totals = dict.fromkeys(CLASS_NAMES, 0)
    for number in range(first, first + count):
        picture = training_picture(seed + number)
        height, width = picture.image.shape[:2]
        name = f"scene_{seed + number:06d}"
        image_path = str(folder / "images" / f"{name}.jpg")
        cv2.imwrite(image_path, picture.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        (folder / "labels" / f"{name}.txt").write_text(yolo_rows(picture.cones, width, height))
        for view in picture.cones:
            if labelled(view, width):
                totals[CLASS_NAMES[view.class_index]] += 1
    return totals
