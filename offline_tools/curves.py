# SPDX-License-Identifier: AGPL-3.0-only
"""Precision-recall and F1-confidence curves of an evaluation, as one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_NAMES
from offline_tools.evaluate import Result
from offline_tools.metrics import CONFIDENCES


def draw_curves(result: Result, folder: Path) -> Path:
    """Writes `<file stem>-<split>.png` to `folder`; returns its path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = result.figures
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    recalls = np.linspace(0, 1, found.pr_curve.shape[1])
    for row, index in enumerate(found.shown):
        name = CLASS_NAMES[index]
        colour = tuple(value / 255 for value in CLASS_COLOURS_BGR[index][::-1])
        map50 = found.per_class[name].map50
        left.plot(recalls, found.pr_curve[row], color=colour, label=f"{name} {map50:.3f}")
        right.plot(CONFIDENCES, found.f1_curve[row], color=colour, label=name)
    right.plot(CONFIDENCES, found.f1_curve.mean(0), color="black", linewidth=2, label="mean")
    right.axvline(found.confidence, color="black", linestyle=":", label=f"best at {found.confidence:.2f}")
    left.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    right.set(xlabel="confidence", ylabel="F1", xlim=(0, 1), ylim=(0, 1.02))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
    manifest = result.manifest
    figure.suptitle(
        f"{manifest.file} on {result.split}, {result.images} images: mAP50 {found.map50:.3f}, "
        f"mAP50-95 {found.map50_95:.3f}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(manifest.file).stem}-{result.split}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
