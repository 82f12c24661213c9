# SPDX-License-Identifier: AGPL-3.0-only
"""Accuracy of an engine file, measured through the car's own detector: letterbox, engine, thresholds, NMS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.detections import Detections
from cone_detector.engine.manifest import Evaluation, Manifest, ManifestError, read_manifest, write_manifest
from cone_detector.frames import Frame
from cone_detector.letterbox import Letterbox
from offline_tools.datasets import read_dataset
from offline_tools.datasets.fingerprint import data_sha256
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.prepare import Source, read_boxes
from offline_tools.datasets.sample import DatasetError, Sample
from offline_tools.detect import detect
from offline_tools.ledger import DEFAULT_LEDGER, Entry, record, refuse_second_look
from offline_tools.metrics import Figures, Scored, by_height, figures, join, on_labels, score_image

# Ultralytics' validator starts at 0.001 and 0.7: below 0.01 the runtime's threshold does not go, and rows of a lower
# score move mAP50 in the fourth digit.
_CONFIDENCE = 0.01
_NMS_IOU = 0.7

# Height ranges in canvas pixels, with the distance of a 0.325 m cone before a ZED 2i (350 pixels of focal length on the
# 640 canvas): far cones first.
HEIGHT_RANGES: dict[str, tuple[float, float]] = {
    "under 11 px (beyond 10 m)": (0, 11),
    "11 to 22 px (5 to 10 m)": (11, 22),
    "22 to 45 px (2.5 to 5 m)": (22, 45),
    "45 px and over (under 2.5 m)": (45, float("inf")),
}


@dataclass(frozen=True)
class Result:
    """The accuracy of one engine file on one split.

    on_labels: without the boxes that touch no label. by_height: of cones of each of HEIGHT_RANGES.
    """

    manifest: Manifest
    split: str
    figures: Figures
    on_labels: Figures
    by_height: dict[str, Figures]
    images: int
    data_sha256: str
    forced: bool = False

    def to_record(self, shipped: bool) -> dict[str, Any]:
        """One entry of docs/benchmarks/accuracy.json."""
        found = self.figures
        return {
            "name": self.manifest.model,
            "pass": self.manifest.name,
            "file": self.manifest.file,
            "precision": self.manifest.precision,
            "runtime": self.manifest.runtime.name,
            "resolution": int(self.manifest.name) if self.manifest.name.isdigit() else self.manifest.name,
            "split": self.split,
            "map50": round(found.map50, 4),
            "map50_95": round(found.map50_95, 4),
            "map50_on_labels": round(self.on_labels.map50, 4),
            "precision_at_best_f1": round(found.precision, 4),
            "recall": round(found.recall, 4),
            "best_f1_confidence": round(found.confidence, 3),
            "per_class": {name: _rounded(asdict(of)) for name, of in found.per_class.items()},
            "by_height": {
                name: {"map50": round(of.map50, 4), "recall": round(of.recall, 4), "labels": _labels(of)}
                for name, of in self.by_height.items()
            },
            "images": self.images,
            "model_sha256": self.manifest.file_sha256,
            "data_sha256": self.data_sha256,
            "shipped": shipped,
            "forced": self.forced,
        }


def evaluate(
    manifest_path: Path,
    source: Source,
    split: str,
    guard: SplitGuard,
    force: bool = False,
    ledger: Path = DEFAULT_LEDGER,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Evaluates the engine file of `manifest_path` on one split of `source`.

    split: "test" is the final evaluation: recorded in the ledger, refused a second time unless `force`.
    progress: called with images done and images in all.
    Raises LedgerError, DatasetError, ManifestError (also for a pass that sees a strip only) or EngineError.
    """
    manifest = read_manifest(manifest_path)
    if manifest.strip:
        raise ManifestError(
            f"{manifest_path}: pass '{manifest.name}' sees a strip of the canvas and finds few cones alone: "
            "`cone-tools policies` measures it within its policy"
        )
    purpose = Purpose.FINAL_TEST if split == "test" else Purpose.VALIDATE
    samples = guard.open(read_dataset(source.path), split, purpose)
    if not samples:
        raise DatasetError(f"split '{split}' of {source.path} holds no image")
    prints = guard.check((sample.image for sample in samples), purpose)
    data = data_sha256(item.content for item in prints)
    forced = split == "test" and refuse_second_look(manifest.file_sha256, data, force, ledger)
    scored = detect_all(manifest_path, manifest, samples, source, progress)
    found = figures(scored)
    sizes = {name: figures(by_height(scored, *limits)) for name, limits in HEIGHT_RANGES.items()}
    result = Result(manifest, split, found, figures(on_labels(scored)), sizes, len(samples), data, forced)
    if split == "test":
        entry = Entry(
            manifest.file, manifest.file_sha256, data, round(found.map50, 4), round(found.map50_95, 4), forced=forced
        )
        record(entry, ledger)
    return result


def write_evaluation(manifest_path: Path, result: Result) -> None:
    """Notes the figures in the engine's manifest, by which the runtime chooses among several."""
    found = result.figures
    evaluation = Evaluation(result.split, round(found.map50, 4), round(found.map50_95, 4), result.data_sha256)
    values = {**vars(result.manifest), "evaluation": evaluation}
    write_manifest(manifest_path, Manifest(**values))


def write_records(path: Path, results: Sequence[tuple[Result, bool]]) -> None:
    """Writes accuracy.json: new results replace older ones of the same file and split. Pairs of result, shipped."""
    fresh = [result.to_record(shipped) for result, shipped in results]
    keys = {(entry["file"], entry["split"]) for entry in fresh}
    kept = json.loads(path.read_text())["models"] if path.exists() else []
    models = [entry for entry in kept if (entry["file"], entry["split"]) not in keys] + fresh
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps({"models": models}, indent=1) + "\n")
    os.replace(temporary, path)


def detect_all(
    manifest_path: Path,
    manifest: Manifest,
    samples: Sequence[Sample],
    source: Source,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Detections of all samples matched with their labels."""
    # mAP ranks the guesses of each class by itself: two classes in one place are two guesses.
    changes = {"confidence": _CONFIDENCE, "nms_iou": _NMS_IOU, "nms_iou_across_classes": 1.0}
    found = detect(manifest_path, manifest, samples, source, changes, progress)
    return join([_score(each, sample, frame, source, manifest.canvas) for sample, frame, each in found])


def _score(found: Detections, sample: Sample, frame: Frame, source: Source, canvas: tuple[int, int]) -> Scored:
    truth = read_boxes(sample, source) * np.array(frame.size * 2, np.float32)
    scale = Letterbox.fit(frame.size, canvas).scale[1]
    return score_image(found.xyxy, found.score, found.label, truth, sample.label, scale)


def _labels(found: Figures) -> int:
    return sum(of.labels for of in found.per_class.values())


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
