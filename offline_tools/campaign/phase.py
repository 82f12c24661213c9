# SPDX-License-Identifier: AGPL-3.0-only
"""One phase of a campaign: what it reads, what it makes, what decides its result."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

_STEPS = "offline_tools.campaign.steps"


class CampaignError(ValueError):
    """A campaign that cannot go on; the message names the phase or the key, its value and the fix."""


@dataclass(frozen=True)
class External:
    """An input from outside of the campaign's folder, known by its content wherever it lies.

    kind: "prepared", a folder of `cone-tools data prepare`; "split", one split of a dataset, or without
    `split` all that may be trained and validated on; "file".
    """

    path: Path
    kind: Literal["prepared", "split", "file"]
    split: str = ""


@dataclass(frozen=True)
class When:
    """The phase is only taken where the phase `gate` came to one of `decisions`."""

    gate: str
    decisions: tuple[str, ...]


@dataclass(frozen=True)
class Phase:
    """A node of the campaign's graph. It runs as a process of its own in its own folder.

    name: unique; also the name of its folder under `phases/`.
    step: module of `campaign.steps` that does the work, or a dotted module name.
    settings: everything but the inputs that decides the result; JSON values.
    inputs: by role, "PHASE/PATTERN", files among the outputs of other phases.
    external: by role, inputs from outside.
    outputs: patterns of the files that it leaves in its folder, each of which must fit at least one.
    device: whether it takes a slot of a GPU; alone: whether nothing else may run beside it, as where time is measured.
    collects: whether it goes on with the inputs that there are where others were not taken.
    labels: what it is about, for its record; decides nothing.
    """

    name: str
    step: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    external: Mapping[str, External] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    device: bool = False
    alone: bool = False
    collects: bool = False
    when: When | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the phases that must end before, each once."""
        names = [source.split("/", 1)[0] for source in self.inputs.values()]
        return tuple(dict.fromkeys(names + ([self.when.gate] if self.when else [])))


def step_module(phase: Phase) -> ModuleType:
    """The module that does the phase's work; cheap to import, with `VERSION` and `run(job)`."""
    return importlib.import_module(phase.step if "." in phase.step else f"{_STEPS}.{phase.step}")


def in_order(phases: Sequence[Phase]) -> list[Phase]:
    """`phases` in an order in which each stands behind what it needs; otherwise as they are given.

    Raises CampaignError where a name stands twice, an input is unknown, or phases need each other.
    """
    by_name = {phase.name: phase for phase in phases}
    if len(by_name) < len(phases):
        names = [phase.name for phase in phases]
        raise CampaignError(f"phases of the same name: {sorted({n for n in names if names.count(n) > 1})}")
    ordered: dict[str, Phase] = {}

    def place(phase: Phase, path: tuple[str, ...]) -> None:
        if phase.name in path:
            raise CampaignError(f"phases need each other: {' -> '.join((*path, phase.name))}")
        for need in phase.needs:
            if need not in by_name:
                raise CampaignError(f"phase {phase.name} needs {need}, which the campaign does not have")
            if need not in ordered:
                place(by_name[need], (*path, phase.name))
        ordered.setdefault(phase.name, phase)

    for phase in phases:
        place(phase, ())
    return list(ordered.values())


def ancestors(phases: Sequence[Phase], names: Iterable[str]) -> set[str]:
    """`names` and all that they need, directly or not."""
    by_name = {phase.name: phase for phase in phases}
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(by_name[name].needs)
    return found
