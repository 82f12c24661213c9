# SPDX-License-Identifier: AGPL-3.0-only
"""The record of a phase, `phase.json`: what was done, with what, and what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from offline_tools.campaign.phase import CampaignError

SCHEMA = 1
RECORD, FIGURES, LOG = "phase.json", "figures.json", "log.txt"

Status = Literal["running", "done", "failed"]


@dataclass
class Record:
    """One phase.json. Paths are relative: outputs to the phase's folder, inputs to the campaign's or as configured.

    key: hash of everything that decides the result; equal keys need no second run.
    inputs: by role, {"paths": […], "sha256": …, "external": bool}. outputs: SHA-256 by path.
    seconds: of all attempts together, those that were killed included. figures: what the step found out.
    labels: what the phase is about (variant, seed, precision); decides nothing.
    """

    phase: str
    step: str
    version: int
    status: Status
    key: str
    settings: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    attempts: int = 0
    device: str = "cpu"
    error: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def read_record(folder: Path) -> Record | None:
    """The record in a phase's folder; None where there is none. Raises CampaignError where it is unreadable."""
    path = folder / RECORD
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CampaignError(f"{path} is damaged ({error})") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise CampaignError(f"{path} is of another schema than {SCHEMA}")
    try:
        return Record(**values)
    except TypeError as error:
        raise CampaignError(f"{path} is damaged ({error})") from error


def write_record(folder: Path, record: Record) -> None:
    """Writes the record in one step: a kill leaves the old one or the new one."""
    write_json(folder / RECORD, asdict(record))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes JSON in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(json.dumps(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_figures(folder: Path) -> dict[str, Any]:
    """What the step of a finished phase found out. Raises CampaignError where its file is unreadable."""
    try:
        return dict(json.loads((folder / FIGURES).read_text()))
    except (OSError, ValueError) as error:
        raise CampaignError(f"{folder / FIGURES} is damaged ({error})") from error
