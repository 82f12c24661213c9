# SPDX-License-Identifier: AGPL-3.0-only
"""Depth errors over range, refined and from box centres alone, as one picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from offline_tools.stereo_benchmark.score import Located

_TARGETS_PCT = {5: 1.5, 10: 3.0, 15: 5.0}
_BINS_M = np.arange(2.0, 21.0, 2.0)


def plot_errors(refined: Located, centres: Located, path: Path) -> None:
    """Writes a PNG: each cone a dot, medians as lines, targets as marks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for located, name, colour in ((centres, "box centres alone", "tab:orange"), (refined, "refined", "tab:blue")):
        depth = located.truth[:, 2]
        share = np.maximum(100 * np.abs(located.error[:, 2]) / depth, 0.01)
        axes.scatter(depth, share, s=5, alpha=0.35, color=colour, linewidths=0)
        middle, median = [], []
        for low, high in pairwise(_BINS_M):
            inside = (depth >= low) & (depth < high)
            if inside.sum() >= 5:
                middle.append((low + high) / 2)
                median.append(np.median(share[inside]))
        axes.plot(middle, median, color=colour, linewidth=2, label=f"{name}, median")
    axes.plot(
        list(_TARGETS_PCT), list(_TARGETS_PCT.values()), "v", color="black", markersize=8, label="target of the median"
    )
    axes.set(yscale="log", ylim=(0.01, 100), xlim=(2, 21), xlabel="true depth in m", ylabel="depth error in %")
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
