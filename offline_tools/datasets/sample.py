# SPDX-License-Identifier: AGPL-3.0-only
"""Labelled frames in the project's classes, whatever format they came in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})

# Spellings seen in FSOCO's Supervisely project, in Roboflow exports and in teams' own files.
_ALIASES = {
    "blue": "blue_cone",
    "yellow": "yellow_cone",
    "orange": "orange_cone",
    "small_orange": "orange_cone",
    "small_orange_cone": "orange_cone",
    "large_orange": "large_orange_cone",
    "big_orange": "large_orange_cone",
    "big_orange_cone": "large_orange_cone",
    "orange_big": "large_orange_cone",
    "unknown": "unknown_cone",
    "other": "unknown_cone",
    "other_cone": "unknown_cone",
}


class DatasetError(ValueError):
    """A dataset that cannot be read; the message names the file, the value and the fix."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a dataset: `kind` is a short fixed phrase to count by, `detail` says what exactly."""

    kind: str
    path: Path
    detail: str = ""


@dataclass(frozen=True)
class Sample:
    """One image with its boxes.

    xyxy: (N, 4) float32, corners as fractions of the image's width and height.
    label: (N,) int64, index into CLASS_NAMES.
    clip: the drive or recording it belongs to; splits never cut through a clip.
    """

    image: Path
    xyxy: NDArray[np.float32]
    label: NDArray[np.int64]
    clip: str


@dataclass(frozen=True)
class Dataset:
    """What a reader found. Take samples only through `offline_tools.datasets.guard.SplitGuard.open`."""

    name: str
    splits: Mapping[str, Sequence[Sample]]
    faults: Sequence[Fault] = field(default=())
    renamed: Mapping[str, str] = field(default_factory=dict)


def class_mapping(names: Iterable[str]) -> list[int | None]:
    """Index into CLASS_NAMES for each class name of a foreign dataset; None for a class that is no cone of ours."""
    mapping: list[int | None] = []
    for name in names:
        plain = re.sub(r"[\s\-]+", "_", name.strip().lower()).removeprefix("seg_").removesuffix("s")
        plain = _ALIASES.get(plain, plain)
        mapping.append(CLASS_NAMES.index(plain) if plain in CLASS_NAMES else None)
    return mapping


def clip_of(stem: str) -> str:
    """The clip that a frame's file name speaks of: its name without Roboflow's hash and without the frame number."""
    stem = re.sub(r"[_.](jpe?g|png)[_.]rf[_.].*$", "", stem)
    return re.sub(r"[-_]*\d+$", "", stem) or stem


def empty_boxes() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes and labels of an image without cones."""
    return np.empty((0, 4), np.float32), np.empty(0, np.int64)
