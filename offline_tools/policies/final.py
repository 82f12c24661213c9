# SPDX-License-Identifier: AGPL-3.0-only
"""The look at the test split: what the node finds there as it ships, all passes together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cone_detector.settings import Settings
from offline_tools.ledger import Entry, record, refuse_second_look
from offline_tools.policies.judge import Judge
from offline_tools.policies.sequences import Labelled


def look(judge: Judge, labelled: Labelled, model: Mapping[str, str], force: bool, ledger: Path) -> dict[str, Any]:
    """The content of docs/benchmarks/policy_test.json: the default settings on the test sequences `labelled`.

    model: name, precision and runtime of the engine, and sha256 of all its files. It is entered in the ledger together
    with the policy's settings. Raises LedgerError where both were there before and not `force`.
    """
    policy = {name: value for name, value in Settings().items() if name.startswith("policy.")}
    sha256 = hashlib.sha256((model["sha256"] + json.dumps(policy, sort_keys=True)).encode()).hexdigest()
    forced = refuse_second_look(sha256, labelled.sha256, force, ledger)
    outcome = judge.judge({})
    title = f"default policy, {model['name']} {model['precision']} {model['runtime']}"
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
        "passes": sorted({name for names in outcome.passes for name in names}),
        "model": dict(model),
        "policy": policy,
        "policy_sha256": sha256,
        "data_sha256": labelled.sha256,
        "forced": forced,
    }
