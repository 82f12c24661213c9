# SPDX-License-Identifier: AGPL-3.0-only
"""Whether a phase must run, and why: by the hashes of what went in and of what lies there now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cone_detector.engine.manifest import file_sha256
from offline_tools.campaign.hashing import external_sha256, json_sha256
from offline_tools.campaign.phase import CampaignError, Phase, step_module
from offline_tools.campaign.records import FIGURES, Record, read_record


@dataclass(frozen=True)
class Verdict:
    """fresh: nothing to do. resume: what an interrupted run left may be gone on with. key, inputs: for the record."""

    fresh: bool
    reason: str
    resume: bool
    key: str
    inputs: dict[str, dict[str, Any]]


def judge(phase: Phase, root: Path, left_out: frozenset[str] = frozenset()) -> Verdict:
    """Compares a phase with its record. All that it needs must have ended.

    root: the campaign's folder. left_out: phases that were not taken, whose files are no inputs.
    Raises CampaignError where an input is missing, DatasetError where a dataset cannot be read.
    """
    try:
        record = read_record(root / "phases" / phase.name)
    except CampaignError as error:
        return Verdict(False, str(error), False, *_key(phase, root, left_out, None))
    key, inputs = _key(phase, root, left_out, record)
    if record is None:
        return Verdict(False, "never ran", False, key, inputs)
    if record.key != key:
        verdict = Verdict(False, _difference(phase, record, inputs), False, key, inputs)
    elif record.status != "done":
        reason = "was interrupted" if record.status == "running" else "failed before"
        verdict = Verdict(False, reason, True, key, inputs)
    else:
        damage = damaged(root / "phases" / phase.name, record)
        verdict = Verdict(not damage, damage or "unchanged", False, key, inputs)
    missing = [str(one.path) for one in phase.external.values() if not one.path.exists()]
    if missing and not verdict.fresh:
        raise CampaignError(f"phase {phase.name} must run ({verdict.reason}) and needs {', '.join(missing)}")
    return verdict


def damaged(folder: Path, record: Record) -> str:
    """What is wrong with the outputs of a finished phase; empty where they are as recorded."""
    for name, sha256 in record.outputs.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if file_sha256(path) != sha256:
            return f"{name} is damaged: its hash is not the recorded one"
    return ""


def find_outputs(phase: Phase, folder: Path) -> list[Path]:
    """The files that the phase left, each once. Raises CampaignError for a pattern that none fits."""
    found: dict[Path, None] = {}
    for pattern in (*phase.outputs, FIGURES):
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not files:
            raise CampaignError(f"phase {phase.name} left no {pattern}")
        found.update(dict.fromkeys(files))
    return list(found)


def _key(
    phase: Phase, root: Path, left_out: frozenset[str], record: Record | None
) -> tuple[str, dict[str, dict[str, Any]]]:
    inputs: dict[str, dict[str, Any]] = {}
    for role, source in phase.inputs.items():
        name, pattern = source.split("/", 1)
        if name in left_out:
            continue
        files = sorted(path for path in (root / "phases" / name).glob(pattern) if path.is_file())
        if not files:
            raise CampaignError(f"phase {phase.name} needs {source}, which is not there: run phase {name}")
        hashes = [file_sha256(path) for path in files]
        paths = [path.relative_to(root).as_posix() for path in files]
        inputs[role] = {"paths": paths, "sha256": json_sha256(hashes), "external": False}
    for role, external in phase.external.items():
        sha256 = external_sha256(external)
        if sha256 is None:
            # Another machine may hold the results without the data: they stand, and only a new run needs the data.
            known = record.inputs.get(role, {}).get("sha256") if record and record.status == "done" else None
            if known is None:
                raise CampaignError(f"phase {phase.name} needs {external.path}, which does not exist")
            sha256 = known
        inputs[role] = {"paths": [external.path.as_posix()], "sha256": sha256, "external": True}
    key = json_sha256(
        {
            "step": phase.step,
            "version": step_module(phase).VERSION,
            "settings": phase.settings,
            "inputs": {role: entry["sha256"] for role, entry in inputs.items()},
        }
    )
    return key, inputs


def _difference(phase: Phase, record: Record, inputs: dict[str, dict[str, Any]]) -> str:
    if record.version != step_module(phase).VERSION:
        return f"the step is version {step_module(phase).VERSION}, was {record.version}"
    before, now = record.settings, json_round(phase.settings)
    changed = [f"{key} is {now.get(key)}, was {before.get(key)}" for key in _differing(before, now)]
    roles = _differing(
        {role: entry["sha256"] for role, entry in record.inputs.items()},
        {role: entry["sha256"] for role, entry in inputs.items()},
    )
    changed += [f"input {role} changed" for role in roles]
    return "; ".join(changed) or "its step changed"


def json_round(value: Any) -> Any:
    """A value as it comes back from JSON: tuples are lists."""
    if isinstance(value, dict):
        return {key: json_round(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_round(item) for item in value]
    return value


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
