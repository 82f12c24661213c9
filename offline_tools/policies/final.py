# SPDX-License-Identifier: AGPL-3.0-only
"""The look at the test split: what the node finds there as it drives, all passes of its policy together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cone_detector.settings import SettingError, Settings, Value
from offline_tools.ledger import Entry, record, refuse_second_look
from offline_tools.policies.judge import Judge, Outcome
from offline_tools.policies.report import write_json
from offline_tools.policies.sequences import Labelled


def look(
    judge: Judge,
    labelled: Labelled,
    changes: Mapping[str, Value],
    model: Mapping[str, str],
    force: bool,
    ledger: Path,
) -> dict[str, Any]:
    """One entry of docs/benchmarks/policy_test.json: the defaults with `changes` on the test sequences `labelled`.

    model: name, precision and runtime of the engine, and sha256 of all its files. It is entered in the ledger together
    with the policy's settings. Raises LedgerError where both were there before and not `force`; SettingError for a
    change of anything else than the policy, which is not what is judged here.
    """
    if others := [name for name in changes if not name.startswith("policy.")]:
        raise SettingError(f"{', '.join(others)}: the final look takes other settings of policy.* only")
    policy = {name: value for name, value in Settings(changes).items() if name.startswith("policy.")}
    sha256 = hashlib.sha256((model["sha256"] + json.dumps(policy, sort_keys=True)).encode()).hexdigest()
    forced = refuse_second_look(sha256, labelled.sha256, force, ledger)
    outcome = judge.judge(changes)
    passes = _in_order(outcome)
    title = f"{' and '.join(passes)}, {model['name']} {model['precision']} {model['runtime']}"
    map50, map50_95 = round(outcome.map50, 4), round(outcome.map50_95, 4)
    record(Entry(title, sha256, labelled.sha256, map50, map50_95, forced=forced), ledger)
    return {
        "split": "test",
        "frames": labelled.frames,
        "map50": map50,
        "map50_95": map50_95,
        "recall_near": round(outcome.recall_near, 4),
        "recall_far": round(outcome.recall_far, 4),
        "precision": round(outcome.precision, 4),
        "escalation_rate": round(outcome.escalation_rate, 4),
        "passes": passes,
        "changes": dict(changes),
        "model": dict(model),
        "policy_sha256": sha256,
        "data_sha256": labelled.sha256,
        "forced": forced,
    }


def write(file: Path, entry: Mapping[str, Any]) -> None:
    """Adds an entry to the file; an older one of the same policy, engine and images goes."""
    key = ("policy_sha256", "data_sha256")
    known = json.loads(file.read_text())["policies"] if file.exists() else []
    kept = [one for one in known if any(one[name] != entry[name] for name in key)]
    write_json(file, {"policies": [*kept, dict(entry)]})


def _in_order(outcome: Outcome) -> list[str]:
    """The passes that ran, a frame's first ones first."""
    longest = max(outcome.passes, key=len)
    return [*longest, *sorted({name for names in outcome.passes for name in names} - {*longest})]
