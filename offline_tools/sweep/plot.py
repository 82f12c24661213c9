# SPDX-License-Identifier: AGPL-3.0-only
"""An analysis as a picture: progress, learning curves, importance, and the metric against each setting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from offline_tools.sweep.analysis import Analysis
from offline_tools.sweep.config import METRICS
from offline_tools.sweep.record import COMPLETED, FAILED, PRUNED

# Okabe and Ito's colours, which colour-blind readers tell apart.
_COLOURS = {COMPLETED: "#0072B2", PRUNED: "#E69F00", FAILED: "#D55E00"}
_BEST = "#009E73"
_COLUMNS = 4
_INCHES = (4.2, 3.4)


def plot(file: Path, analysis: Analysis) -> None:
    """Writes the picture as a PNG."""
    from matplotlib.figure import Figure

    columns = max(3, min(_COLUMNS, len(analysis.space)))
    rows = 1 + math.ceil(len(analysis.space) / columns)
    figure = Figure(figsize=(_INCHES[0] * columns, _INCHES[1] * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    _progress(figure.add_subplot(grid[0, 0]), analysis)
    _curves(figure.add_subplot(grid[0, 1]), analysis)
    _importance(figure.add_subplot(grid[0, 2:]), analysis)
    for place, name in enumerate(analysis.space):
        _setting(figure.add_subplot(grid[1 + place // columns, place % columns]), analysis, name)
    handles = {}
    for axes in figure.axes:
        handles.update({label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"Sweep {analysis.name}: {len(analysis.ranked) + len(analysis.others)} trials, figures on val")
    figure.savefig(file, dpi=110)


def _progress(axes: Any, analysis: Analysis) -> None:
    for state in (COMPLETED, PRUNED):
        of = [trial for trial in analysis.ranked if trial.state == state and trial.value is not None]
        if of:
            axes.scatter([t.number for t in of], [t.value for t in of], s=24, color=_COLOURS[state], label=state)
    best, front = -math.inf, []
    for trial in sorted(analysis.ranked, key=lambda trial: trial.number):
        if trial.state == COMPLETED and trial.value is not None:
            best = max(best, trial.value)
            front.append((trial.number, best))
    if front:
        axes.step(*zip(*front, strict=True), where="post", color=_BEST, lw=1.5, label="best so far")
    _failures(axes, [trial.number for trial in analysis.others if trial.state == FAILED])
    _finish(axes, "trial", analysis.metric)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _curves(axes: Any, analysis: Analysis) -> None:
    column = METRICS[analysis.metric]
    for place, trial in reversed(list(enumerate(analysis.ranked))):
        points = [(row["epoch"], row[column]) for row in trial.epochs if row[column] is not None]
        if points:
            best = place == 0
            colour = _BEST if best else _COLOURS[trial.state]
            marker = "o" if len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), color=colour, lw=2 if best else 1, alpha=1 if best else 0.5,
                      marker=marker, markersize=4)  # fmt: skip
    _finish(axes, "epoch", analysis.metric)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _importance(axes: Any, analysis: Analysis) -> None:
    if not analysis.influences:
        axes.text(0.5, 0.5, analysis.remark.replace(": ", ":\n"), ha="center", va="center", wrap=True)
        axes.set_axis_off()
        return
    ordered = list(reversed(analysis.influences))
    clear = [one.verdict != "cannot be told from chance" for one in ordered]
    colours = [_COLOURS[COMPLETED] if one else "#BBBBBB" for one in clear]
    axes.barh([one.name for one in ordered], [one.importance for one in ordered],
              xerr=[one.importance_std for one in ordered], color=colours, ecolor="#333333", capsize=3)  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the variance (fANOVA ± bootstrap)\ngrey: cannot be told from chance")


def _setting(axes: Any, analysis: Analysis, name: str) -> None:
    parameter = analysis.space[name]
    options = [str(option) for option in parameter.options]

    def place(value: Any) -> float:
        return options.index(str(value)) if options else float(value)

    for state in (COMPLETED, PRUNED):
        of = [trial for trial in analysis.ranked if trial.state == state and trial.value is not None]
        axes.scatter([place(t.params[name]) for t in of], [t.value for t in of], s=24, color=_COLOURS[state], alpha=0.8)
    _failures(axes, [place(trial.params[name]) for trial in analysis.others if trial.state == FAILED])
    if options:
        axes.set_xticks(range(len(options)), options)
        axes.set_xlim(-0.5, len(options) - 0.5)
    else:
        low, high = parameter.bounds
        log = parameter.kind == "log"
        axes.set_xscale("log" if log else "linear")
        margin = (high / low) ** 0.04 if log else (high - low) * 0.04
        axes.set_xlim(*((low / margin, high * margin) if log else (low - margin, high + margin)))
    _finish(axes, f"{name} (log)" if parameter.kind == "log" else name, analysis.metric)


def _failures(axes: Any, places: list[Any]) -> None:
    """Crosses at the lower edge: a failed trial has no figure, but it has settings."""
    if places:
        axes.plot(places, [0.03] * len(places), "x", color=_COLOURS[FAILED], transform=axes.get_xaxis_transform(),
                  clip_on=False, label=FAILED)  # fmt: skip


def _finish(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
