# SPDX-License-Identifier: AGPL-3.0-only
"""Training runs side by side, from the records that `cone-tools train` leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from offline_tools.results import MAP50, MAP50_95, best_epoch, read_epochs
from offline_tools.train_config import TrainError


@dataclass(frozen=True)
class TrainingRun:
    """One stage of one run. Figures are the trainer's, on val, of the epoch whose weights were kept."""

    name: str
    epochs: int
    kept: int
    minutes: float
    map50: float
    map50_95: float
    resolution: int
    device: str


def read_run(record: Path) -> TrainingRun:
    """Reads a stage's JSON record and the results CSV beside it (results.csv, or of the record's name).

    Raises TrainError where either is missing or is no such file.
    """
    table = record.with_suffix(".csv")
    table = table if table.exists() else record.with_name("results.csv")
    name = record.stem if record.stem != "stage" else f"{record.parent.parent.name} {record.parent.name}"
    try:
        stage = json.loads(record.read_text())
        rows = read_epochs(table)
        best = best_epoch(rows)
        return TrainingRun(
            name,
            len(rows),
            int(best["epoch"]),
            stage["seconds"] / 60,
            best[MAP50],
            best[MAP50_95],
            int(stage["settings"]["imgsz"]),
            stage["device"],
        )
    except (OSError, KeyError, ValueError) as error:
        raise TrainError(f"{record} and {table} are no record of a training run: {error!r}") from error


def to_markdown(runs: list[TrainingRun]) -> str:
    """A table of runs, best first."""
    lines = [
        "| run | resolution | epochs (kept) | minutes | device | val mAP50 | val mAP50-95 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {run.name} | {run.resolution} | {run.epochs} ({run.kept}) | {run.minutes:.1f} | {run.device} "
        f"| {run.map50:.3f} | {run.map50_95:.3f} |"
        for run in sorted(runs, key=lambda run: (-run.resolution, -run.map50))
    ]
    return "\n".join(lines) + "\n"
