# SPDX-License-Identifier: AGPL-3.0-only
"""The trainer's results.csv, one row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

MAP50, MAP50_95 = "metrics/mAP50(B)", "metrics/mAP50-95(B)"


def read_epochs(table: Path) -> list[dict[str, float]]:
    """One row for each epoch. Raises OSError where the file is missing, ValueError where it holds no figures.

    A run killed after it wrote a row and before it wrote the weights repeats that epoch: the later row counts.
    """
    with table.open() as file:
        rows = [{key.strip(): float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    if not rows or MAP50_95 not in rows[0]:
        raise ValueError(f"{table} holds no epochs of a detector's training")
    return list({row["epoch"]: row for row in rows}.values())


def best_epoch(rows: list[dict[str, float]]) -> dict[str, float]:
    """The row whose weights became best.pt: ultralytics keeps the highest mAP50-95, the last of equals."""
    return max(reversed(rows), key=lambda row: row[MAP50_95])
