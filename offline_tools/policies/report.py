# SPDX-License-Identifier: AGPL-3.0-only
"""What a sweep found: JSON with the figures, a table, a plot, and the chosen settings as a parameter file."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from offline_tools.policies.candidates import SHIPPED
from offline_tools.policies.costs import Costs
from offline_tools.policies.paced import PacedRun
from offline_tools.policies.sequences import Labelled
from offline_tools.policies.sweep import Limits, Sweep, Tried

_ALWAYS = tuple(f"{passes}, always" for passes in ("band", "zoom", "640 and band", "640 and zoom"))
_GENERATED = "written by `cone-tools policies`; do not edit"


def to_record(
    sweep: Sweep, labelled: Labelled, model: dict[str, str], limits: Limits, paced: PacedRun | None
) -> dict[str, Any]:
    """The content of docs/benchmarks/adaptive.json. simulated: the costs are; accuracy is always measured."""
    return {
        "simulated": sweep.costs.simulated,
        "policy": sweep.chosen.candidate.name,
        **_figures(sweep.chosen),
        "deadline_misses": paced.misses if paced else None,
        "cascade": _figures(sweep.original),
        "equal_cost_far_recall_gain_pt": _gain(sweep),
        "limits": asdict(limits),
        "paced": _rounded(asdict(paced)) if paced else None,
        "model": model,
        "data": {
            "sha256": labelled.sha256,
            "sequences": {sequence.name: len(sequence.pairs) for sequence in labelled.sequences},
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("openvino", "numpy")}},
        "machines": [_machine(sweep)],
    }


def write_json(file: Path, record: dict[str, Any]) -> None:
    """Writes the figures in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(temporary, file)


def write_parameters(folder: Path, sweep: Sweep) -> Path:
    """Writes the chosen settings for a machine as a ROS parameter file; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{slug(sweep.costs.machine)}.yaml"
    body = yaml.safe_dump({"/**": {"ros__parameters": dict(sweep.chosen.candidate.changes)}}, sort_keys=True)
    file.write_text(f"# Adaptive settings for {sweep.costs.machine}, {_GENERATED}.\n# {sweep.reason}.\n{body}")
    return file


def write_table(file: Path, sweep: Sweep) -> None:
    """Writes a Markdown table: the fixed policies, the chosen one, the original cascade, the front."""
    costs = sweep.costs
    how = f"costs simulated, within {costs.error_pct:.0f} %" if costs.simulated else "measured"
    lines = [f"<!-- {_GENERATED} -->", f"# Adaptive policies, {how}", "", f"## {costs.machine}", ""]
    lines += [f"Passes over a pair: {', '.join(_pass(costs, name) for name in costs.ms)}. {costs.taken}".rstrip(), ""]
    lines += [f"Break-even of the cascade: {costs.break_even:.0%} of the frames escalated.", ""]
    lines += [f"**Chosen: {sweep.reason}.**", ""]
    kind = " (simulated)" if costs.simulated else ""
    lines += [
        f"| policy | cost{kind} | p99{kind} | second pass | mAP50 | far recall | near recall | precision |",
        "|" + " --- |" * 8,
    ]
    lines += [_row(one) for one in notable(sweep)]
    file.write_text("\n".join([*lines, ""]))


def _pass(costs: Costs, name: str) -> str:
    text = f"{name} {costs.ms[name]:.2f} ms"
    again = costs.second(name)
    return text if again == costs.ms[name] else f"{text} (as a second pass {again:.2f} ms)"


def notable(sweep: Sweep) -> list[Tried]:
    """The candidates to show: fixed, chosen, the original cascade, the best at fixed 640's cost, and both fronts."""
    shown = [sweep.named("fixed 320"), sweep.named("fixed 640"), sweep.chosen, sweep.original, sweep.equal_cost]
    shown += sweep.front(lambda one: one.map50_loss_pt) + sweep.front(lambda one: one.far_recall_loss_pt)
    shown += [one for one in sweep.tried if one.candidate.name in (SHIPPED, *_ALWAYS)]
    unique = {one.candidate.name: one for one in shown}
    return sorted(unique.values(), key=lambda one: one.cost_ratio)


def slug(machine: str) -> str:
    """A machine's name as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")


def _row(one: Tried) -> str:
    found = one.outcome
    return (
        f"| {one.candidate.name} | {one.cost_ratio:.2f} x | {one.p99_ratio:.2f} x | {found.escalation_rate:.0%} | "
        f"{100 * found.map50:.1f} | {100 * found.recall_far:.1f} | {100 * found.recall_near:.1f} | "
        f"{100 * found.precision:.1f} |"
    )


def _machine(sweep: Sweep) -> dict[str, Any]:
    return {
        "machine": sweep.costs.machine,
        "pass_ms": {name: round(ms, 3) for name, ms in sweep.costs.ms.items()},
        "second_pass_ms": {name: round(sweep.costs.second(name), 3) for name in sweep.costs.ms},
        "error_pct": sweep.costs.error_pct,
        "taken": sweep.costs.taken,
        "break_even_escalation_rate": round(sweep.costs.break_even, 4),
        "chosen": {"name": sweep.chosen.candidate.name, "why": sweep.reason, **_figures(sweep.chosen)},
        "cascade": _figures(sweep.original),
        "equal_cost": {"name": sweep.equal_cost.candidate.name, **_figures(sweep.equal_cost)},
        "equal_cost_far_recall_gain_pt": _gain(sweep),
        "tried": {one.candidate.name: _figures(one) for one in sweep.tried},
    }


def _gain(sweep: Sweep) -> float:
    return round(-sweep.equal_cost.far_recall_loss_pt, 2)


def _figures(one: Tried) -> dict[str, float]:
    found = one.outcome
    return {
        "cost_ratio": round(one.cost_ratio, 4),
        "p99_cost_ratio": round(one.p99_ratio, 4),
        "mean_ms": round(one.mean_ms, 3),
        "p99_ms": round(one.p99_ms, 3),
        "escalation_rate": round(found.escalation_rate, 4),
        "map50": round(found.map50, 4),
        "far_recall": round(found.recall_far, 4),
        "near_recall": round(found.recall_near, 4),
        "precision": round(found.precision, 4),
        "map50_loss_pt": round(one.map50_loss_pt, 2),
        "far_recall_loss_pt": round(one.far_recall_loss_pt, 2),
        "near_recall_loss_pt": round(one.near_recall_loss_pt, 2),
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
