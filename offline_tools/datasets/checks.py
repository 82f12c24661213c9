# SPDX-License-Identifier: AGPL-3.0-only
"""What is wrong with a dataset, and what it is made of, before anyone trains on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_NAMES
from offline_tools.datasets.fingerprint import NEAR_BITS, Fingerprint, distance, fingerprint
from offline_tools.datasets.sample import Dataset, DatasetError, Fault, Sample

_SHOWN = 3
# A box may overhang the image by rounding; more is a mistake of the labelling tool or of a conversion.
_OVERHANG = 0.002
_SMALLEST_PIXELS = 2.0


@dataclass(frozen=True)
class Report:
    """The findings on one dataset.

    images, boxes: counts a split; boxes by class name. faults: everything that is wrong. leaks: a split, an image of
    it, another split, and the copy or near copy there. heights: (N,) box heights in pixels of a 640 wide canvas.
    """

    name: str
    images: Mapping[str, int]
    boxes: Mapping[str, Mapping[str, int]]
    faults: Sequence[Fault]
    leaks: Sequence[tuple[str, Path, str, Path]]
    heights: NDArray[np.float64]
    heights_label: NDArray[np.int64]
    renamed: Mapping[str, str]

    @property
    def clean(self) -> bool:
        """Whether a model may be trained on this: no broken file, and nothing of the test split in another."""
        broken = any(fault.kind.startswith("broken") for fault in self.faults)
        return not broken and not any("test" in (one, other) for one, _, other, _ in self.leaks)

    def to_text(self) -> str:
        """The report for a terminal."""
        width = max(len(name) for name in CLASS_NAMES)
        splits = list(self.images)
        lines = [f"{self.name}: {sum(self.images.values())} images"]
        lines.append(" " * width + "".join(f"{split:>9}" for split in splits))
        lines.append(f"{'images':<{width}}" + "".join(f"{self.images[split]:>9}" for split in splits))
        for name in CLASS_NAMES:
            lines.append(f"{name:<{width}}" + "".join(f"{self.boxes[split][name]:>9}" for split in splits))
        lines += [f"class '{old}' is read as {new}" for old, new in self.renamed.items() if old != new]
        for kind, count in Counter(fault.kind for fault in self.faults).most_common():
            examples = [fault for fault in self.faults if fault.kind == kind][:_SHOWN]
            lines.append(f"{count} x {kind}")
            lines += [f"    {fault.path}  {fault.detail}".rstrip() for fault in examples]
        for splits_of, count in Counter((one, other) for one, _, other, _ in self.leaks).items():
            pairs = [leak[1::2] for leak in self.leaks if leak[::2] == splits_of]
            lines.append(f"{count} x nearly the same picture in {' and '.join(splits_of)}: figures will flatter")
            lines += [f"    {a}  {b}" for a, b in pairs[:_SHOWN]]
        lines.append("fit to train on" if self.clean else "NOT fit to train on")
        return "\n".join(lines)

    def to_record(self) -> dict[str, Any]:
        """The counts, as docs/benchmarks/data_check.json keeps them.

        near_twins: of `split`, the images that look nearly like some image of `like`.
        """
        twins: dict[tuple[str, str], set[Path]] = {}
        for one, _, other, image in self.leaks:
            twins.setdefault((other, one), set()).add(image)
        return {
            "name": self.name,
            "images": dict(self.images),
            "boxes": {split: dict(counts) for split, counts in self.boxes.items()},
            "faults": dict(Counter(fault.kind for fault in self.faults)),
            "near_twins": [
                {"split": split, "like": like, "images": len(images)} for (split, like), images in sorted(twins.items())
            ],
            "clean": self.clean,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }


def check(dataset: Dataset) -> Report:
    """Reads every image and label of `dataset`. The pictures are only compared with one another, never handed on."""
    faults = list(dataset.faults)
    prints: dict[str, list[tuple[Sample, Fingerprint]]] = {}
    heights: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.int64]] = []
    for split, samples in dataset.splits.items():
        good = prints.setdefault(split, [])
        for sample in samples:
            try:
                good.append((sample, fingerprint(sample.image)))
            except DatasetError as error:
                faults.append(Fault("broken image", sample.image, str(error)))
                continue
            faults += _box_faults(sample)
            heights.append(_canvas_heights(sample))
            labels.append(sample.label)
        faults += _duplicates(good)
    return Report(
        dataset.name,
        {split: len(samples) for split, samples in dataset.splits.items()},
        {split: _class_counts(samples) for split, samples in dataset.splits.items()},
        faults,
        _leaks(prints),
        np.concatenate(heights) if heights else np.empty(0),
        np.concatenate(labels) if labels else np.empty(0, np.int64),
        dataset.renamed,
    )


def draw_heights(report: Report, path: Path) -> None:
    """Writes a histogram of box heights, by class, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    bins = np.geomspace(2, 400, 40)
    shown = [index for index in range(len(CLASS_NAMES)) if (report.heights_label == index).any()]
    axes.hist(
        [report.heights[report.heights_label == index] for index in shown],
        bins=list(bins),
        stacked=True,
        color=[tuple(value / 255 for value in CLASS_COLOURS_BGR[index][::-1]) for index in shown],
        label=[CLASS_NAMES[index] for index in shown],
    )
    axes.set(xscale="log", xlabel="box height in pixels of a 640 wide image", ylabel="boxes", title=report.name)
    axes.set_xticks([2, 5, 10, 20, 50, 100, 200, 400], labels=["2", "5", "10", "20", "50", "100", "200", "400"])
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _box_faults(sample: Sample) -> list[Fault]:
    found = []
    outside = ((sample.xyxy < -_OVERHANG) | (sample.xyxy > 1 + _OVERHANG)).any(axis=1)
    if outside.any():
        found.append(Fault("box out of the image", sample.image, f"{sample.xyxy[outside][0].round(4).tolist()}"))
    if ((sample.xyxy[:, 2:] <= sample.xyxy[:, :2]).any(axis=1)).any():
        found.append(Fault("box without area", sample.image))
    if (_canvas_heights(sample) < _SMALLEST_PIXELS).any():
        found.append(Fault(f"box under {_SMALLEST_PIXELS:g} pixels", sample.image))
    rows = np.column_stack((sample.xyxy, sample.label))
    if len(np.unique(rows, axis=0)) < len(rows):
        found.append(Fault("the same box twice", sample.image))
    return found


def _canvas_heights(sample: Sample) -> NDArray[np.float64]:
    header = cv2.imread(str(sample.image), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    aspect = 1.0 if header is None else header.shape[0] / header.shape[1]
    return ((sample.xyxy[:, 3] - sample.xyxy[:, 1]) * 640 * aspect).astype(np.float64)


def _duplicates(good: Sequence[tuple[Sample, Fingerprint]]) -> list[Fault]:
    first: dict[str, Path] = {}
    found = []
    for sample, item in good:
        if item.content in first:
            found.append(Fault("the same file twice", sample.image, f"as {first[item.content]}"))
        first.setdefault(item.content, sample.image)
    return found


def _leaks(prints: Mapping[str, Sequence[tuple[Sample, Fingerprint]]]) -> list[tuple[str, Path, str, Path]]:
    found = []
    splits = [split for split in prints if prints[split]]
    for number, one in enumerate(splits):
        looks = np.array([item.look for _, item in prints[one]], np.uint8)
        for other in splits[number + 1 :]:
            near = distance(np.array([item.look for _, item in prints[other]], np.uint8), looks)
            for row, column in zip(*np.nonzero(near <= NEAR_BITS), strict=True):
                found.append((one, prints[one][column][0].image, other, prints[other][row][0].image))
    return found


def _class_counts(samples: Sequence[Sample]) -> dict[str, int]:
    counts = np.zeros(len(CLASS_NAMES), int)
    for sample in samples:
        counts += np.bincount(sample.label, minlength=len(CLASS_NAMES))
    return dict(zip(CLASS_NAMES, counts.tolist(), strict=True))
