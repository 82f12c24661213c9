# SPDX-License-Identifier: AGPL-3.0-only
"""An analysis in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from offline_tools.sweep.analysis import Analysis

_SHOWN = 15


def show(analysis: Analysis, console: Console | None = None) -> None:
    """Prints ranking, influences and crashes."""
    console = console or Console()
    states = ", ".join(f"{count} {state}" for state, count in sorted(analysis.states.items()))
    console.print(f"[bold]{analysis.name}[/]: {states}; {analysis.asked} asked for; {analysis.metric} on val")
    console.print(_ranking(analysis))
    if analysis.influences:
        console.print(_influences(analysis))
    if analysis.remark:
        console.print(analysis.remark, highlight=False)
    for crash in analysis.crashes:
        numbers = ", ".join(str(number) for number in crash.trials)
        console.print(f"\n[bold]{len(crash.trials)} x {crash.reason}[/] (trials {numbers})", highlight=False)
        console.print(f"  last error: {crash.error}", markup=False, highlight=False)
        for rule in crash.rules:
            console.print(
                f"  {rule.text}: {rule.failed} of {rule.of} failed, "
                f"otherwise {rule.failed_else} of {rule.of_else} (p {rule.p:.2g})",
                highlight=False,
            )
        if crash.remark:
            console.print(f"  {crash.remark}", highlight=False)


def _ranking(analysis: Analysis) -> Table:
    table = Table(title=f"best {min(_SHOWN, len(analysis.ranked))} of {len(analysis.ranked)} trials")
    for column in ("trial", "state", analysis.metric, "epoch", "minutes", *analysis.space):
        table.add_column(column, justify="left" if column == "state" else "right")
    for trial in analysis.ranked[:_SHOWN]:
        settings = (_short(trial.params[name]) for name in analysis.space)
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        mark = "*" if trial.notes else ""
        table.add_row(
            f"{trial.number}{mark}", trial.state, value, str(trial.best_epoch), f"{trial.seconds / 60:.1f}", *settings
        )
    if any(trial.notes for trial in analysis.ranked):
        table.caption = "* the trainer changed a setting itself, see the trial's notes"
    return table


def _influences(analysis: Analysis) -> Table:
    table = Table(title="what mattered")
    for column in ("setting", "importance (fANOVA)", "rank correlation (95 %)", "p", "verdict"):
        table.add_column(column)
    for one in analysis.influences:
        if one.correlation is not None and one.interval is not None:
            rank = f"{one.correlation:+.2f} ({one.interval[0]:+.2f} to {one.interval[1]:+.2f})"
        else:
            rank = "-" if one.explained is None else f"{one.explained:.2f} of the ranks' variance"
        table.add_row(one.name, f"{one.importance:.2f} ± {one.importance_std:.2f}", rank, f"{one.p:.3f}", one.verdict)
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
