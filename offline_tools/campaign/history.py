# SPDX-License-Identifier: AGPL-3.0-only
"""How long phases took before, and so how long they will take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from offline_tools.campaign.phase import Phase
from offline_tools.campaign.records import Record
from offline_tools.campaign.surroundings import surroundings

_FILE = "history.jsonl"


@dataclass(frozen=True)
class Clocked:
    """One finished phase. size: what its time grows with (epochs of a training), 1 for others."""

    phase: str
    step: str
    model: str
    size: float
    seconds: float
    machine: str

    @classmethod
    def of(cls, record: Record) -> Clocked:
        """From the record of a finished phase."""
        return cls(
            record.phase,
            record.step,
            _model(record.settings),
            _size(record.settings),
            record.seconds,
            machine_name(record.machine),
        )


def machine_name(machine: dict[str, object]) -> str:
    """Times of one machine say nothing of another."""
    return str(machine.get("gpu") or machine.get("cpu") or "")


def remember(root: Path, clocked: Clocked) -> None:
    """Adds to the campaign's history."""
    with (root / _FILE).open("a") as file:
        file.write(json.dumps(asdict(clocked)) + "\n")


def recall(root: Path) -> list[Clocked]:
    """All that is remembered, oldest first; a line that a kill cut off is left out."""
    try:
        lines = (root / _FILE).read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Clocked(**json.loads(line)))
        except (TypeError, ValueError):
            continue
    return found


def expected_seconds(phase: Phase, history: Sequence[Clocked]) -> float | None:
    """Seconds that `phase` will take here, by itself, its model, or its step before; None where nothing is known."""
    here = machine_name(surroundings()[0])
    known = [one for one in history if one.machine == here and one.step == phase.step]
    for alike in (
        [one for one in known if one.phase == phase.name][-1:],
        [one for one in known if one.model == _model(phase.settings)],
        known,
    ):
        if alike:
            return median(one.seconds / one.size for one in alike) * _size(phase.settings)
    return None


def _model(settings) -> str:  # type: ignore[no-untyped-def]
    technique = settings.get("technique") or {}
    return f"{settings.get('model', '')} {technique.get('kind', '')}".strip()


def _size(settings) -> float:  # type: ignore[no-untyped-def]
    return float(settings.get("epochs") or 1)
