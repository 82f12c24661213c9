# SPDX-License-Identifier: AGPL-3.0-only
"""Training pictures: any scene through any camera, as a YOLO folder."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from cone_detector.classes import CLASS_NAMES
from offline_tools.scenes.camera import Intrinsics, look_along
from offline_tools.scenes.disturbances import add_graphics, soil_lens
from offline_tools.scenes.photometric import auto_exposure, develop, sample_sensor
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


def seen(box: np.ndarray, visibility: float, width: int) -> bool:
    """Whether a cone of this visible box (pixels) and share is labelled in a picture of this width."""
    return visibility >= LABEL_MIN_VISIBILITY and float(box[3] - box[1]) >= LABEL_MIN_HEIGHT * width


def yolo_rows(views: list[ConeView], width: int, height: int) -> str:
    """Label lines `class x y w h`, normalised to 0..1, of the cones that are labelled."""
    rows = []
    for view in views:
        if seen(view.box, view.visibility, width):
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
        float(rng.choice([0.0, -rng.uniform(0.02, 0.3), -rng.uniform(0.3, 0.6)], p=[0.4, 0.4, 0.2])),
    )  # fmt: skip
    place, heading = _training_place(scene, rng)
    pitch = np.radians(np.clip(rng.normal(6, 4.5), -3, 20))
    camera = look_along(
        lens,
        np.array([*place, config.camera_height]),
        heading + rng.normal(0, 0.09),
        pitch,
        np.radians(rng.normal(0, 1.3)),
    )
    radiance, views = render_view(scene, camera, (place[0], place[1], heading))
    sensor = sample_sensor(rng, config.weather).scaled(factor)
    image = develop(radiance, sensor, auto_exposure(radiance), rng)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    wet = config.weather == "wet"
    if rng.random() < (0.4 if wet else 0.08):
        image = soil_lens(image, rng, wet)
    if rng.random() < 0.07:
        add_graphics(image, rng)
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


@dataclass(frozen=True)
class _Job:
    folder: Path
    seed: int
    quality: int


def _write_picture(job: _Job) -> list[int]:
    """Writes one picture with its labels; returns the classes of the labels."""
    picture = training_picture(job.seed)
    height, width = picture.image.shape[:2]
    name = f"scene_{job.seed:06d}"
    image_path = job.folder / "images" / f"{name}.jpg"
    if not cv2.imwrite(str(image_path), picture.image, [cv2.IMWRITE_JPEG_QUALITY, job.quality]):
        raise OSError(f"cannot write {image_path}: is the disk full or the folder read-only?")
    (job.folder / "labels" / f"{name}.txt").write_text(yolo_rows(picture.cones, width, height))
    return [view.class_index for view in picture.cones if seen(view.box, view.visibility, width)]


def write_training_set(folder: Path, count: int, seed: int = 0, quality: int = 88, jobs: int = 1) -> dict[str, int]:
    """Writes pictures and labels to `folder/images` and `folder/labels`.

    Args:
        count: number of pictures; picture i has the seed `seed + i`, whatever the number of jobs.
        quality: of the JPEG files, 1 to 100.
        jobs: processes that draw at once.

    Returns:
        The number of labels of each class.
    """
    if count < 1 or jobs < 1:
        raise ValueError(f"count is {count} and jobs is {jobs}: both must be at least 1")
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    todo = [_Job(folder, seed + number, quality) for number in range(count)]
    if jobs == 1:
        written = [_write_picture(job) for job in todo]
    else:
        # One thread of OpenCV a process: the processes already fill the cores.
        # A forked child would wait forever for a lock that another thread of this process held.
        with ProcessPoolExecutor(jobs, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
            written = list(pool.map(_write_picture, todo, chunksize=4))
    totals = Counter(index for classes in written for index in classes)
    return {name: totals[index] for index, name in enumerate(CLASS_NAMES)}
