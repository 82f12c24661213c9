# SPDX-License-Identifier: Apache-2.0
"""A replay's figures: as JSON, and as a table in the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cone_detector.classes import CLASS_NAMES
from cone_detector.latency import STAGES
from cone_detector.replay.machine import machine, versions
from cone_detector.replay.records import CONE_ROWS, Recording

SCHEMA = 1


@dataclass(frozen=True)
class Spread:
    """Percentiles, mean and largest of a quantity, in milliseconds."""

    p50: float
    p95: float
    p99: float
    mean: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None where there is no finite value."""
        array = np.array([value for value in values if np.isfinite(value)])
        if not len(array):
            return None
        p50, p95, p99 = (round(float(p), 3) for p in np.percentile(array, (50, 95, 99)))
        return cls(p50, p95, p99, round(float(array.mean()), 3), round(float(array.max()), 3))


def summarize(recording: Recording) -> dict[str, Any]:
    """All figures of a replay, ready for JSON; `timeline` holds those of each frame."""
    frames = recording.frames
    stages = {name: Spread.of(f.stages_ms[name] for f in frames if name in f.stages_ms) for name in _stages(recording)}
    latency = {name: vars(spread) for name, spread in stages.items() if spread}
    if age := Spread.of(frame.age_ms for frame in frames):
        latency["age"] = vars(age)
    intervals = np.diff([frame.time_s for frame in frames]) * 1e3
    if recording.rate_hz and (jitter := Spread.of(np.abs(intervals - 1e3 / recording.rate_hz))):
        latency["jitter"] = vars(jitter)
    cones = sum((frame.cones for frame in frames), np.zeros((len(CONE_ROWS), len(CLASS_NAMES)), np.int64))
    escalated = sum(len(frame.passes) > 1 for frame in frames)
    return {
        "schema": SCHEMA,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "mode": recording.mode,
        "bag": recording.bag,
        "rate_hz": round(recording.rate_hz, 3),
        "seconds": round(recording.seconds, 3),
        "pairs": {"sent": recording.sent, "processed": len(frames), "dropped": recording.dropped},
        "throughput_hz": round(len(frames) / recording.seconds, 2) if recording.seconds else 0.0,
        "latency_ms": latency,
        "escalation_rate": round(escalated / len(frames), 4) if frames else 0.0,
        "escalation_reasons": dict(Counter(frame.reason for frame in frames if len(frame.passes) > 1).most_common()),
        "cones": {row: dict(zip(CLASS_NAMES, cones[i].tolist(), strict=True)) for i, row in enumerate(CONE_ROWS)},
        "engine": recording.engine,
        "settings": dict(recording.settings),
        "notes": list(recording.notes),
        "machine": machine(),
        "versions": versions(),
        "timeline": {
            "time_s": [round(frame.time_s, 4) for frame in frames],
            "age_ms": [round(frame.age_ms, 3) if np.isfinite(frame.age_ms) else None for frame in frames],
            "total_ms": [round(frame.stages_ms.get("total", 0.0), 3) for frame in frames],
            "passes": ["+".join(frame.passes) for frame in frames],
        },
    }


def print_summary(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Shows what `summarize` made as tables."""
    console = console or Console()
    pairs = summary["pairs"]
    rate = f" at {summary['rate_hz']:g} Hz" if summary["rate_hz"] else ""
    console.print(f"[bold]{summary['mode']}[/bold], {Path(summary['bag']).name}{rate}")
    console.print(f"{summary['engine']}")
    console.print(
        f"pairs in [bold]{pairs['sent']}[/bold], processed [bold]{pairs['processed']}[/bold], "
        f"dropped [bold]{pairs['dropped']}[/bold]; {summary['throughput_hz']:g} Hz; "
        f"escalation rate {summary['escalation_rate']:.1%}"
        + "".join(f"; {reason}: {n}" for reason, n in list(summary["escalation_reasons"].items())[:3])
    )
    console.print(latency_table(summary["latency_ms"]))
    console.print(_cones_table(summary["cones"], pairs["processed"]))
    for note in summary["notes"]:
        console.print(f"[yellow]{note}[/yellow]")


def latency_table(latency: Mapping[str, Mapping[str, float]]) -> Table:
    """Stages by row, percentiles by column."""
    table = Table("latency, ms", "p50", "p95", "p99", "mean", "max")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, spread in latency.items():
        table.add_row(name, *(f"{spread[key]:.2f}" for key in ("p50", "p95", "p99", "mean", "max")))
    return table


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a report, one line for each list of numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    short = {key: value for key, value in values.items() if key != "timeline"}
    text = json.dumps(short, indent=2, ensure_ascii=False)
    if "timeline" in values:
        lines = ",\n".join(f'    "{key}": {json.dumps(column)}' for key, column in values["timeline"].items())
        text = text[:-2] + f',\n  "timeline": {{\n{lines}\n  }}\n}}'
    path.write_text(text + "\n")


def _stages(recording: Recording) -> list[str]:
    """Stages that occur, in the order of the work, then others by name."""
    found = {name for frame in recording.frames for name in frame.stages_ms}
    return [name for name in STAGES if name in found] + sorted(found.difference(STAGES))


def _cones_table(cones: Mapping[str, Mapping[str, int]], frames: int) -> Table:
    table = Table("cones", *cones, *(f"{row} a pair" for row in list(cones)[::2]))
    for column in table.columns[1:]:
        column.justify = "right"
    for name in (*CLASS_NAMES, "all"):
        counts = [sum(row.values()) if name == "all" else row[name] for row in cones.values()]
        table.add_row(name, *(f"{n}" for n in counts), *(f"{n / frames if frames else 0:.1f}" for n in counts[::2]))
    return table
