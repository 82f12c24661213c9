# SPDX-License-Identifier: Apache-2.0
"""Latency as pictures: how it is spread, and how it goes over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def plot_latency(summary: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes latency_histogram.png and latency_timeline.png of what `report.summarize` made; returns their paths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    timeline = summary["timeline"]
    time_s = np.array(timeline["time_s"], float)
    total = np.array(timeline["total_ms"], float)
    age = np.array([np.nan if value is None else value for value in timeline["age_ms"]], float)
    passes = np.array(timeline["passes"])
    rate = f"at {summary['rate_hz']:g} Hz" if summary["rate_hz"] else "back to back"
    title = f"{summary['mode']}, {Path(summary['bag']).name} {rate}, {summary['engine']}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latency_histogram.png", folder / "latency_timeline.png"]

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = [total, *([age] if np.isfinite(age).any() else [])]
    edges = np.linspace(0, max(float(np.nanpercentile(values, 99.8)) for values in shown) * 1.05, 80)
    for values, name, colour in zip(shown, ("total: pair complete to result", "age: stamp to result"),
                                    ("#1f77b4", "#ff7f0e"), strict=False):  # fmt: skip
        axes.hist(values, edges.tolist(), alpha=0.6, label=name, color=colour)
        for percentile, style in ((50, "-"), (95, "--"), (99, ":")):
            value = float(np.nanpercentile(values, percentile))
            axes.axvline(value, color=colour, linestyle=style, linewidth=1)
            axes.text(value, 0.99, f"p{percentile}", rotation=90, va="top", ha="right", fontsize=7, color=colour,
                      transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(xlabel="ms", ylabel="pairs", title=title)
    axes.title.set_fontsize(9)
    axes.legend()
    FigureCanvasAgg(figure).print_png(paths[0])

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    if np.isfinite(age).any():
        axes.plot(time_s, age, ".", markersize=4, color="#bbbbbb", label="age")
    for name in sorted(set(passes)):
        here = passes == name
        axes.plot(time_s[here], total[here], ".", markersize=4, label=f"total, {name} ({here.mean():.0%})")
    axes.set(xlabel="seconds", ylabel="ms", title=title, ylim=(0, None))
    axes.title.set_fontsize(9)
    axes.legend(markerscale=2)
    FigureCanvasAgg(figure).print_png(paths[1])
    return paths
