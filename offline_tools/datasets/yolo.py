# SPDX-License-Identifier: AGPL-3.0-only
"""YOLO folders: ultralytics' layout, and Roboflow's export of it ("FSOCO-12")."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cone_detector.classes import CLASS_NAMES
from offline_tools.datasets.sample import (
    IMAGE_SUFFIXES,
    Dataset,
    DatasetError,
    Fault,
    Sample,
    class_mapping,
    clip_of,
    empty_boxes,
)

_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


def read_yolo(path: Path) -> Dataset:
    """Reads a YOLO dataset from its data.yaml, or from the folder that holds one.

    A folder with images/ and labels/ and no YAML, as `cone-tools scenes train` writes it, is a train split in our own
    class order. Otherwise classes are matched by name and remapped to CLASS_NAMES; boxes of other classes are dropped
    and reported.
    Raises DatasetError where the YAML is missing or names no split.
    """
    if (path / "images").is_dir() and not (path / "data.yaml").exists():
        faults: list[Fault] = []
        samples = _read_folder(path / "images", list(range(len(CLASS_NAMES))), faults)
        return Dataset(path.resolve().name, {"train": samples}, faults)
    path = path / "data.yaml" if path.is_dir() else path
    try:
        settings = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise DatasetError(f"no {path}: give a folder with a data.yaml, or the YAML itself") from error
    except yaml.YAMLError as error:
        raise DatasetError(f"{path} is not YAML: {error}") from error
    if not isinstance(settings, dict) or "names" not in settings:
        raise DatasetError(f"{path} has no `names`: a YOLO data.yaml lists its classes there")
    names = _names(settings["names"], path)
    mapping = class_mapping(names)
    faults = [
        Fault("unknown class", path, f"'{name}' is none of {', '.join(CLASS_NAMES)}; its boxes are dropped")
        for name, index in zip(names, mapping, strict=True)
        if index is None
    ]
    splits: dict[str, list[Sample]] = {}
    for key, split in _SPLIT_KEYS.items():
        for folder in _image_folders(settings.get(key), settings, path):
            splits.setdefault(split, []).extend(_read_folder(folder, mapping, faults))
    if not splits:
        raise DatasetError(f"{path} names no folder under train, val or test that exists")
    renamed = {
        name: CLASS_NAMES[new]
        for old, (name, new) in enumerate(zip(names, mapping, strict=True))
        if new is not None and (new != old or name != CLASS_NAMES[new])
    }
    return Dataset(path.parent.resolve().name, splits, faults, renamed)


def _names(names: Any, path: Path) -> list[str]:
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        return [str(names[index]) for index in range(len(names))]
    if isinstance(names, list):
        return [str(name) for name in names]
    raise DatasetError(f"{path}: `names` must be a list, or map 0, 1, 2 … to names")


def _image_folders(entry: Any, settings: dict[str, Any], path: Path) -> list[Path]:
    found = []
    for value in [entry] if isinstance(entry, str) else entry or []:
        # Roboflow writes "../train/images" though the folder lies beside the YAML.
        tries = [path.parent / settings.get("path", "") / value, path.parent / str(value).removeprefix("../")]
        folder = next((candidate for candidate in tries if candidate.is_dir()), None)
        if folder is not None:
            found.append(folder)
    return found


def _read_folder(folder: Path, mapping: list[int | None], faults: list[Fault]) -> list[Sample]:
    labels = Path(*["labels" if part == "images" else part for part in folder.parts])
    images = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    samples = []
    for image in images:
        file = labels / image.relative_to(folder).with_suffix(".txt")
        if file.exists():
            xyxy, label = _read_label(file, mapping, faults)
        else:
            faults.append(Fault("image without label file", image, "taken as showing no cone"))
            xyxy, label = empty_boxes()
        samples.append(Sample(image, xyxy, label, clip_of(image.stem)))
    stems = {image.relative_to(folder).with_suffix("") for image in images}
    for file in _orphans(labels, stems):
        faults.append(Fault("label file without image", file))
    return samples


def _orphans(labels: Path, stems: set[Path]) -> Iterable[Path]:
    return (file for file in sorted(labels.rglob("*.txt")) if file.relative_to(labels).with_suffix("") not in stems)


def _read_label(file: Path, mapping: list[int | None], faults: list[Fault]):  # type: ignore[no-untyped-def]
    """Boxes of one label file: `class cx cy w h`, or `class x1 y1 x2 y2 …`, a polygon, whose bounds are taken."""
    boxes, classes = [], []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        where = f"line {number}: '{line.strip()}'"
        try:
            index, values = int(float(fields[0])), np.array(fields[1:], np.float64)
        except ValueError:
            faults.append(Fault("unreadable label line", file, where))
            continue
        if len(values) < 4 or len(values) % 2 or not np.isfinite(values).all():
            faults.append(Fault("unreadable label line", file, where))
            continue
        if not 0 <= index < len(mapping):
            faults.append(Fault("class index out of range", file, where))
            continue
        if mapping[index] is None:
            continue
        if len(values) == 4:
            (x, y), (w, h) = values[:2], values[2:]
            corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        else:
            points = values.reshape(-1, 2)
            corners = np.concatenate((points.min(0), points.max(0)))
        boxes.append(corners)
        classes.append(mapping[index])
    if not boxes:
        return empty_boxes()
    return np.array(boxes, np.float32), np.array(classes, np.int64)
