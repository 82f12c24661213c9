# SPDX-License-Identifier: Apache-2.0
"""Two replays side by side: what changed, and whether they may be compared at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cone_detector.replay.report import SCHEMA

_SAME = ("mode", "bag", "rate_hz", "engine")
_PERCENTILES = ("p50", "p95", "p99")


class ReportError(ValueError):
    """A file that is no replay report; the message names it."""


def read_report(path: Path) -> dict[str, Any]:
    """Reads what `cone-replay run` wrote. Raises ReportError."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    if not isinstance(report, dict) or "latency_ms" not in report:
        raise ReportError(f"{path} is no report of cone-replay run")
    if report.get("schema") != SCHEMA:
        raise ReportError(f"{path} has schema {report.get('schema')}, must be {SCHEMA}: run the replay again")
    return report


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs in how two reports were made: one line each."""
    lines = [f"{key}: {before[key]} -> {after[key]}" for key in _SAME if before[key] != after[key]]
    for group in ("machine", "versions", "settings"):
        old, new = before[group], after[group]
        lines += [
            f"{group} {key}: {old.get(key, 'none')} -> {new.get(key, 'none')}"
            for key in sorted({*old, *new} - {"load_average_1min"})
            if old.get(key) != new.get(key)
        ]
    return lines


def compare_table(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """Latency percentiles of both, and the change in per cent."""
    table = Table("ms", *_PERCENTILES)
    for column in table.columns[1:]:
        column.justify = "right"
    old, new = before["latency_ms"], after["latency_ms"]
    for stage in [*old, *(name for name in new if name not in old)]:
        pairs = [[report.get(stage, {}).get(percentile) for report in (old, new)] for percentile in _PERCENTILES]
        table.add_row(stage, *(_cell(a, b) for a, b in pairs))
    return table


def print_comparison(before: Mapping[str, Any], after: Mapping[str, Any], console: Console | None = None) -> None:
    """Shows both reports beside each other."""
    console = console or Console()
    for line in differences(before, after):
        console.print(f"[yellow]differs: {line}[/yellow]")
    console.print(compare_table(before, after))
    rows = Table("", "before", "after")
    for name in ("sent", "processed", "dropped"):
        rows.add_row(f"pairs {name}", str(before["pairs"][name]), str(after["pairs"][name]))
    rows.add_row("throughput, Hz", f"{before['throughput_hz']:.2f}", f"{after['throughput_hz']:.2f}")
    rows.add_row("escalation rate", f"{before['escalation_rate']:.1%}", f"{after['escalation_rate']:.1%}")
    for row in before["cones"]:
        rows.add_row(f"cones {row}", *(str(sum(report["cones"][row].values())) for report in (before, after)))
    console.print(rows)


def _cell(before: float | None, after: float | None) -> str:
    text = " → ".join("-" if value is None else f"{value:.2f}" for value in (before, after))
    if before is None or after is None or not before:
        return text
    percent = 100 * (after / before - 1)
    colour = "red" if percent > 5 else "green" if percent < -5 else "white"
    return f"{text} [{colour}]{percent:+.0f}%[/{colour}]"
