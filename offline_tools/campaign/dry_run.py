# SPDX-License-Identifier: AGPL-3.0-only
"""The plan of a campaign, without carrying it out: what would run, why, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offline_tools.campaign.forecast import clock, time_left
from offline_tools.campaign.freshness import judge
from offline_tools.campaign.history import expected_seconds, recall
from offline_tools.campaign.phase import Phase
from offline_tools.campaign.records import read_record
from offline_tools.campaign.slots import Slots


@dataclass(frozen=True)
class Forecast:
    """One line of the plan. runs: "run", "keep", "perhaps" (what it needs runs first) or "no"."""

    phase: Phase
    runs: str
    reason: str
    seconds: float | None = None


def foresee(
    phases: Sequence[Phase], root: Path, selected: frozenset[str], left_out: frozenset[str], forced: frozenset[str]
) -> list[Forecast]:
    """What `Runner.run` would do with the same phases and choices, as far as it can be known."""
    history = recall(root)
    found: dict[str, Forecast] = {}
    for phase in phases:
        runs, reason = _foresee(phase, root, found, selected, left_out, forced)
        seconds = expected_seconds(phase, history) if runs in ("run", "perhaps") else None
        found[phase.name] = Forecast(phase, runs, reason, seconds)
    return list(found.values())


def _foresee(
    phase: Phase,
    root: Path,
    found: dict[str, Forecast],
    selected: frozenset[str],
    left_out: frozenset[str],
    forced: frozenset[str],
) -> tuple[str, str]:
    if phase.name in left_out:
        return "no", "left out"
    needs = [found[name] for name in phase.needs]
    gone = frozenset(one.phase.name for one in found.values() if one.runs == "no")
    sources = {source.split("/", 1)[0] for source in phase.inputs.values()}
    if lost := sources & gone and (not phase.collects or sources <= gone):
        return "no", f"without {', '.join(sorted(sources & gone))}" if lost else ""
    before = [one.phase.name for one in needs if one.runs in ("run", "perhaps")]
    if phase.when and phase.when.gate not in before:
        record = read_record(root / "phases" / phase.when.gate)
        decision = record.figures.get("decision") if record else None
        if decision not in phase.when.decisions:
            return "no", f"{phase.when.gate} decided: {decision or 'nothing yet'}"
    if before and phase.name not in selected:
        return "no", "not selected"
    if before:
        gate = phase.when.gate if phase.when else ""
        condition = f"if {gate} decides {' or '.join(phase.when.decisions)}" if phase.when and gate in before else ""
        others = [name for name in before if name != gate]
        after = f"after {', '.join(others[:3])}{' …' if len(others) > 3 else ''}" if others else ""
        return "perhaps", ", ".join(filter(None, (after, condition)))
    if phase.name in forced & selected:
        return "run", "forced"
    try:
        verdict = judge(phase, root, gone)
    except ValueError as error:
        return ("run", f"would fail: {error}") if phase.name in selected else ("no", "not selected")
    if verdict.fresh:
        return "keep", verdict.reason
    return ("run", verdict.reason) if phase.name in selected else ("no", f"not selected, {verdict.reason}")


def to_text(forecasts: Sequence[Forecast], slots: Slots) -> str:
    """The plan as a text: one line a phase, and the time of all."""
    width = max(len(one.phase.name) for one in forecasts)
    lines = []
    for one in forecasts:
        time = f"  [{clock(one.seconds)}]" if one.runs in ("run", "perhaps") else ""
        lines.append(f"{one.runs:<8}{one.phase.name:<{width}}  {one.reason}{time}")
    todo = [one for one in forecasts if one.runs in ("run", "perhaps")]
    known = {one.phase.name: one.seconds for one in todo if one.seconds is not None}
    total = time_left([one.phase for one in todo], known, slots)
    missing = len(todo) - len(known)
    counts = f"{len(todo)} of {len(forecasts)} phases to run"
    if not todo:
        return "\n".join([*lines, "nothing to do"])
    estimate = f"about {clock(total)}" if not missing else f"{clock(total)} and {missing} phases never timed here"
    return "\n".join([*lines, f"{counts}: {estimate if known else 'no phase was timed on this machine yet'}"])
