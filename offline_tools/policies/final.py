# SPDX-License-Identifier: AGPL-3.0-only
"""The look at the test split: what the passes of a policy find there together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cone_detector.adaptive.passes import passes_of
from cone_detector.settings import SettingError, Settings
from offline_tools.ledger import Entry, record, refuse_second_look
from offline_tools.policies.judge import Judge
from offline_tools.policies.report import write_json
from offline_tools.policies.sequences import Labelled


def look(
    judge: Judge, labelled: Labelled, settings: Settings, model: Mapping[str, str], force: bool, ledger: Path
) -> dict[str, Any]:
    """One entry of docs/benchmarks/policy_test.json: the policy of `settings` on the test sequences `labelled`.

    settings: of which `policy.name` is not auto, and nothing but policy.* differs from the defaults. model: name,
    precision and runtime of the engine, and sha256 of the files of the policy's passes. It is entered in the ledger
    together with the policy's settings. Raises LedgerError where both were there before and not `force`; SettingError
    for a change of anything else than the policy, which is not what is judged here.
    """
    defaults = Settings()
    changes = {name: value for name, value in settings.items() if value != defaults[name]}
    if others := [name for name in changes if not name.startswith("policy.")]:
        raise SettingError(f"{', '.join(others)}: the final look takes other settings of policy.* only")
    passes = passes_of(settings)
    # One pass is what it is, whatever the other settings of a policy say.
    names = [name for name in settings if name.startswith("policy.")] if len(passes) > 1 else ["policy.name"]
    policy = {name: settings[name] for name in names}
    sha256 = hashlib.sha256((model["sha256"] + json.dumps(policy, sort_keys=True)).encode()).hexdigest()
    forced = refuse_second_look(sha256, labelled.sha256, force, ledger)
    outcome = judge.judge(changes)
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
        "passes": list(passes),
        "policy": policy,
        "model": dict(model),
        "policy_sha256": sha256,
        "data_sha256": labelled.sha256,
        "forced": forced,
    }


def read(file: Path) -> list[dict[str, Any]]:
    """The entries of a file that `write` wrote; none where there is no file yet. Raises ValueError for another file."""
    if not file.exists():
        return []
    try:
        return list(json.loads(file.read_text())["policies"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no record of `cone-tools final` ({error!r}): name another one") from error


def write(file: Path, entry: Mapping[str, Any]) -> None:
    """Adds an entry to the file; an older one of the same policy, engine and images goes."""
    key = ("policy_sha256", "data_sha256")
    kept = [one for one in read(file) if any(one[name] != entry[name] for name in key)]
    write_json(file, {"policies": [*kept, dict(entry)]})
