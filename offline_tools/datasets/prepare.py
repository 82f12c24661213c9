# SPDX-License-Identifier: AGPL-3.0-only
"""From source datasets to one folder that the trainer reads: true proportions, one class order, no test image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from offline_tools.datasets import read_dataset
from offline_tools.datasets.fingerprint import data_sha256
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.sample import DatasetError, Sample

_JPEG_QUALITY = 90
_PURPOSES = {"train": Purpose.TRAIN, "val": Purpose.VALIDATE}
# Ultralytics drops boxes outside the image; half a pixel of a far cone is not worth a label.
_SMALLEST_PIXELS = 1.0


@dataclass(frozen=True)
class Source:
    """One dataset to train on.

    path: a dataset of any format that `read_dataset` knows.
    aspect: true width and height of the camera where the images were stretched, as (16, 9); None where they were not.
    repeat: how often a frame is listed for training, by the first file-name pattern that fits.
    border: pixels of frame to cut off each side (FSOCO's Supervisely images carry 140 pixels of logos).
    longest: longer side to scale down to, in pixels; 0 keeps the size.
    split: the split that all its frames go to, "train" or "val", where the dataset has one only; empty keeps its own.
    smallest: boxes of a smaller side, in pixels of the prepared image, are dropped: rendered scenes label cones that
        nobody would have labelled by hand, and a detector cannot serve both.
    """

    path: Path
    aspect: tuple[int, int] | None = None
    repeat: Mapping[str, int] = field(default_factory=dict)
    border: int = 0
    longest: int = 0
    split: str = ""
    smallest: float = _SMALLEST_PIXELS


@dataclass(frozen=True)
class Prepared:
    """What was written. data: the YAML for ultralytics. images: files a split. sha256: hash of each split's images."""

    data: Path
    images: Mapping[str, int]
    sha256: Mapping[str, str]


def prepare(sources: Sequence[Source], directory: Path, guard: SplitGuard) -> Prepared:
    """Writes images, labels, lists and data.yaml of all `sources` to `directory`, which is emptied first.

    Raises DatasetError where a source is unreadable, has no train or val frames, or holds a test image.
    """
    refuse_foreign(directory, "data.yaml")
    shutil.rmtree(directory, ignore_errors=True)
    lists: dict[str, list[str]] = {"train": [], "val": []}
    counts = {"train": 0, "val": 0}
    for number, source in enumerate(sources):
        dataset = read_dataset(source.path)
        for found in ("train", "val"):
            if found not in dataset.splits:
                continue
            split = source.split or found
            for sample in guard.open(dataset, found, _PURPOSES[split]):
                name = f"{number}_{sample.image.stem}"
                write_sample(sample, source, directory / split, name)
                times = _repeats(source, sample.image.name) if split == "train" else 1
                lists[split] += [f"./{split}/images/{name}.jpg"] * times
                counts[split] += 1
    if not all(counts.values()):
        raise DatasetError(f"no frames for {' and '.join(s for s, n in counts.items() if not n)} in the sources")
    hashes = {}
    for split, lines in lists.items():
        (directory / f"{split}.txt").write_text("\n".join(lines) + "\n")
        hashes[split] = split_sha256(directory, split, guard)
    data = directory / "data.yaml"
    names = dict(enumerate(CLASS_NAMES))
    data.write_text(yaml.safe_dump({"train": "train.txt", "val": "val.txt", "names": names}, sort_keys=False))
    (directory / "prepared.json").write_text(
        json.dumps({"sources": [source.path.name for source in sources], "images": counts, "sha256": hashes}, indent=1)
    )
    return Prepared(data, counts, hashes)


def refuse_foreign(directory: Path, mark: str) -> None:
    """Raises DatasetError where a folder holds anything but no file `mark`, by which a tool knows what it wrote."""
    if directory.exists() and any(directory.iterdir()) and not (directory / mark).exists():
        raise DatasetError(f"{directory} is not empty and was not made by this tool: give another folder")


def split_sha256(directory: Path, split: str, guard: SplitGuard) -> str:
    """The hash of a prepared split's images, after the guard has looked at each."""
    images = sorted((directory / split / "images").iterdir())
    return data_sha256(item.content for item in guard.check(images, _PURPOSES[split]))


def read_image(path: Path, source: Source) -> NDArray[np.uint8]:
    """The image as the camera saw it: BGR, borders cut off, in its true proportions. Raises DatasetError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"{path} is not an image that OpenCV can decode")
    if source.border:
        image = image[source.border : -source.border, source.border : -source.border]
        if not image.size:
            raise DatasetError(f"{path} is smaller than twice the border of {source.border} pixels")
    height, width = image.shape[:2]
    if source.aspect is not None:
        height = round(width * source.aspect[1] / source.aspect[0])
    scale = min(1.0, source.longest / max(width, height)) if source.longest else 1.0
    size = (round(width * scale), round(height * scale))
    if size == (image.shape[1], image.shape[0]):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def read_boxes(sample: Sample, source: Source) -> NDArray[np.float32]:
    """The boxes of `sample` as fractions of what `read_image` returns, clipped to it: (N, 4)."""
    xyxy = sample.xyxy
    if source.border and len(xyxy):
        height, width = np.asarray(cv2.imread(str(sample.image), cv2.IMREAD_COLOR)).shape[:2]
        size = np.array([width, height] * 2, np.float32)
        inner = size - 2 * source.border
        xyxy = (xyxy * size - source.border) / inner
    return np.clip(xyxy, 0, 1)


def write_sample(sample: Sample, source: Source, directory: Path, name: str) -> None:
    """Writes one image and those of its boxes that are not too small, in YOLO's layout under `directory`."""
    image = read_image(sample.image, source)
    boxes = read_boxes(sample, source)
    keep = large_enough(boxes, source, image)
    write_frame(image, boxes[keep], sample.label[keep], directory, name)


def large_enough(boxes: NDArray[np.float32], source: Source, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of `boxes`, as `read_boxes` returned them, are not too small on `image`, as `read_image` returned it."""
    height, width = image.shape[:2]
    sides = (boxes[:, 2:] - boxes[:, :2]) * (width, height)
    return np.asarray((sides >= source.smallest).all(axis=1))


def write_frame(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], label: NDArray[np.int64], directory: Path, name: str
) -> None:
    """Writes an image and its (N, 4) boxes, fractions of its size, as `name`.jpg and `name`.txt in YOLO's layout."""
    lines = [
        f"{index} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}"
        for index, (x1, y1, x2, y2) in zip(label, boxes, strict=True)
    ]
    for folder in ("images", "labels"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    target = directory / "images" / f"{name}.jpg"
    if not cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise DatasetError(f"{target} cannot be written")
    (directory / "labels" / f"{name}.txt").write_text("".join(line + "\n" for line in lines))


def _repeats(source: Source, name: str) -> int:
    return next((times for pattern, times in source.repeat.items() if fnmatch(name, pattern)), 1)
