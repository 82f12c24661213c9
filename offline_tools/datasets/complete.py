# SPDX-License-Identifier: AGPL-3.0-only
"""Labels that annotators left out: cones that a trained network is sure of, although training told it otherwise.

A cone without a label is trained as background. A network that finds it all the same is nearly always right, but not
always: look at the sheets before you train on the result.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_NAMES
from cone_detector.detections import Detections
from cone_detector.draw import contact_sheet
from cone_detector.engine.manifest import ManifestError, read_manifest
from cone_detector.frames import Frame
from cone_detector.settings import Settings
from offline_tools.datasets import read_dataset
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.prepare import Source, large_enough, read_boxes, refuse_foreign, write_frame, write_sample
from offline_tools.datasets.sample import DatasetError, Sample
from offline_tools.detect import detect
from offline_tools.metrics import box_iou

# Labels of these cones are loose: a box that overlaps one by this much, or of which so much lies within it, or it
# within the box, is of the same cone.
_SAME_IOU = 0.15
_SAME_INSIDE = 0.6
# By this file a folder is known as one of these.
_MARK = "completed.json"
# What a sheet shows of each: at least so many pixels around it, enlarged.
_SHOWN_PX = 40
_TILE_PX = 96
_TILES = (20, 20)


@dataclass(frozen=True)
class Completed:
    """What was written. added: labels by class. frames: those that got any. sheets: pictures of all that was added."""

    data: Path
    added: Counter[str]
    frames: int
    sheets: Sequence[Path]


def complete(
    manifest_path: Path,
    source: Source,
    directory: Path,
    guard: SplitGuard,
    confidence: float = 0.4,
    smallest_px: float = 6.0,
    progress: Callable[[int, int], None] | None = None,
) -> Completed:
    """Writes the train and val split of `source` to `directory` as a YOLO folder, train with its missing labels added.

    Val stays as it was labelled, since figures must not follow a network. confidence: lowest score of a cone that is
    added; smallest_px: its lowest height in the prepared image. progress: called with images done and images in all.
    What was there before is replaced when all is done.
    Raises DatasetError where the folder is somebody else's or the source's own, a split is empty, two images have one
    name or one is of the test split; ManifestError for a pass that sees a strip only; SettingError.
    """
    changes = {"confidence": confidence}
    Settings(changes)
    manifest = read_manifest(manifest_path)
    if manifest.strip:
        raise ManifestError(f"{manifest_path}: pass '{manifest.name}' sees a strip of the canvas only: name one of 640")
    _check_target(directory, source.path)
    samples = _open(source, guard)
    half_done = directory.with_name(directory.name + ".tmp")
    shutil.rmtree(half_done, ignore_errors=True)
    for sample in samples.get("val", ()):
        write_sample(sample, source, half_done / "val", sample.image.stem)
    added: Counter[str] = Counter()
    sheets = _Sheets(half_done)
    frames = 0
    for sample, frame, found in detect(manifest_path, manifest, samples["train"], source, changes, progress):
        size = np.array(frame.size * 2, np.float32)
        known = read_boxes(sample, source)
        new = _missing(found, known * size, smallest_px)
        keep = large_enough(known, source, frame.pixels)
        boxes = np.concatenate((known[keep], np.clip(found.xyxy[new] / size, 0, 1)))
        label = np.concatenate((sample.label[keep], found.label[new]))
        write_frame(frame.pixels, boxes, label, half_done / "train", sample.image.stem)
        added.update(CLASS_NAMES[index] for index in found.label[new])
        frames += bool(len(new))
        for index in new:
            sheets.add(_tile(frame, found, index))
    names = sheets.finish()
    splits = {split: f"{split}/images" for split in samples}
    (half_done / "data.yaml").write_text(yaml.safe_dump({**splits, "names": list(CLASS_NAMES)}, sort_keys=False))
    settings = {"confidence": confidence, "smallest_px": smallest_px, "model_sha256": manifest.file_sha256}
    facts = {"source": source.path.name, **settings, "added": dict(added), "frames": frames}
    (half_done / _MARK).write_text(json.dumps(facts, indent=1) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    half_done.rename(directory)
    return Completed(directory / "data.yaml", added, frames, [directory / name for name in names])


def _check_target(directory: Path, source: Path) -> None:
    refuse_foreign(directory, _MARK)
    here, there = directory.resolve(), source.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DatasetError(f"{directory} lies in {source} or holds it: give a folder beside the dataset")


def _open(source: Source, guard: SplitGuard) -> dict[str, Sequence[Sample]]:
    dataset = read_dataset(source.path)
    samples = {"train": guard.open(dataset, "train", Purpose.TRAIN)}
    if "val" in dataset.splits:
        samples["val"] = guard.open(dataset, "val", Purpose.VALIDATE)
    for split, found in samples.items():
        if not found:
            raise DatasetError(f"split '{split}' of {source.path} holds no image")
        name, times = Counter(sample.image.stem for sample in found).most_common(1)[0]
        if times > 1:
            raise DatasetError(f"{times} images of {split} are called {name}: give each a name of its own")
    return samples


class _Sheets:
    """Pictures of many tiles each, written as they fill."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tiles: list[NDArray[np.uint8]] = []
        self._names: list[str] = []

    def add(self, tile: NDArray[np.uint8]) -> None:
        """Adds a tile to the last sheet."""
        self._tiles.append(tile)
        if len(self._tiles) == _TILES[0] * _TILES[1]:
            self.finish()

    def finish(self) -> Sequence[str]:
        """Writes the last sheet; returns the names of all."""
        if self._tiles:
            self._names.append(f"added_{len(self._names) + 1:02d}.png")
            sheet = contact_sheet(self._tiles, columns=_TILES[0], width=_TILE_PX)
            cv2.imwrite(str(self._directory / self._names[-1]), sheet)
            self._tiles.clear()
        return self._names


def _missing(found: Detections, labelled: NDArray[np.float32], smallest_px: float) -> NDArray[np.intp]:
    """Indices of the detections, surest first, that are on no label and on no surer one of themselves."""
    known, new = labelled, []
    for index, box in enumerate(found.xyxy):
        if box[3] - box[1] >= smallest_px and not _on_any(box[None], known):
            known = np.concatenate((known, box[None]))
            new.append(index)
    return np.array(new, np.intp)


def _on_any(box: NDArray[np.float32], known: NDArray[np.float32]) -> bool:
    if not len(known):
        return False
    area, areas = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (box, known))
    iou = box_iou(box, known)[0]
    # From IoU = s / (a + b - s).
    shared = iou * (area + areas) / (1 + iou)
    return bool((iou > _SAME_IOU).any() or (shared > _SAME_INSIDE * np.minimum(area, areas)).any())


def _tile(frame: Frame, found: Detections, index: int) -> NDArray[np.uint8]:
    x1, y1, x2, y2 = found.xyxy[index]
    side = max(_SHOWN_PX, 3 * (x2 - x1), 3 * (y2 - y1))
    scale = _TILE_PX / side
    corner = ((x1 + x2) / 2 - side / 2, (y1 + y2) / 2 - side / 2)
    view = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    tile = cv2.warpAffine(frame.pixels, view, (_TILE_PX, _TILE_PX))
    places = [(round(scale * (x - corner[0])), round(scale * (y - corner[1]))) for x, y in ((x1, y1), (x2, y2))]
    cv2.rectangle(tile, places[0], places[1], CLASS_COLOURS_BGR[int(found.label[index])], 1)
    return tile
