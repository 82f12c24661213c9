# SPDX-License-Identifier: AGPL-3.0-only
"""Supervisely projects, the format in which FSOCO is published (fsoco-dataset.com)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.classes import CLASS_NAMES
from offline_tools.datasets.sample import Dataset, DatasetError, Fault, Sample, class_mapping, empty_boxes

# Shares of clips, not of frames: a whole dataset folder (one team's recording) goes to one split.
_SPLIT_SHARES = (("train", 0.8), ("val", 0.9), ("test", 1.0))


def read_supervisely(path: Path) -> Dataset:
    """Reads the project at `path`: meta.json, and img/ and ann/ in each dataset folder.

    Each folder is one clip and is given to train, val or test by the hash of its name, so the split is the same on
    every machine. Raises DatasetError where `path` is no such project.
    """
    if not (path / "meta.json").is_file():
        raise DatasetError(f"{path} has no meta.json: give the root of a Supervisely project")
    faults: list[Fault] = []
    splits: dict[str, list[Sample]] = {}
    renamed: dict[str, str] = {}
    for folder in sorted(child for child in path.iterdir() if (child / "ann").is_dir()):
        samples = splits.setdefault(split_of_clip(folder.name), [])
        for annotation in sorted((folder / "ann").glob("*.json")):
            sample = _read_annotation(annotation, folder, faults, renamed)
            if sample is not None:
                samples.append(sample)
    if not splits:
        raise DatasetError(f"{path} has no dataset folder with ann/ in it")
    return Dataset(path.resolve().name, splits, faults, renamed)


def split_of_clip(clip: str) -> str:
    """train, val or test for a clip, by the hash of its name: 80, 10 and 10 % of many clips."""
    share = int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big") / 2**64
    return next(split for split, limit in _SPLIT_SHARES if share < limit)


def _read_annotation(annotation: Path, folder: Path, faults: list[Fault], renamed: dict[str, str]) -> Sample | None:
    image = folder / "img" / annotation.stem
    if not image.is_file():
        faults.append(Fault("label file without image", annotation))
        return None
    try:
        content = json.loads(annotation.read_text())
        size = np.array([content["size"]["width"], content["size"]["height"]], np.float64)
        boxes, classes = [], []
        for item in content["objects"]:
            title = item["classTitle"]
            (index,) = class_mapping([title])
            if index is None:
                faults.append(Fault("unknown class", annotation, f"'{title}'; its boxes are dropped"))
                continue
            if title != CLASS_NAMES[index]:
                renamed[title] = CLASS_NAMES[index]
            boxes.append(_bounds(item) / np.tile(size, 2))
            classes.append(index)
    except (KeyError, TypeError, ValueError) as error:
        faults.append(Fault("unreadable annotation", annotation, f"{type(error).__name__}: {error}"))
        return None
    if not boxes:
        return Sample(image, *empty_boxes(), clip=folder.name)
    return Sample(image, np.array(boxes, np.float32), np.array(classes, np.int64), clip=folder.name)


def _bounds(item: dict[str, Any]) -> np.ndarray:
    """Corners x1, y1, x2, y2 in pixels around an object's outline (a rectangle or a polygon)."""
    points = np.array(item["points"]["exterior"], np.float64)
    return np.concatenate((points.min(0), points.max(0)))
