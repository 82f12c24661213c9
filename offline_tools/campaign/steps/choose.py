# SPDX-License-Identifier: AGPL-3.0-only
"""The engine to go on with: of those that are as good as the best on val, the fastest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from cone_detector.engine.manifest import read_manifest
from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Copies the chosen engine to `engine/`; returns the choice and what it was made from."""
    decision = "both"
    if "gate" in job.record.inputs:
        decision = json.loads(job.path("gate").read_text())["decision"]
    candidates = {}
    for name in measured(job.record.inputs):
        evaluation = json.loads(job.path(f"evaluation:{name}").read_text())
        latency = json.loads(job.path(f"latency:{name}").read_text())
        candidates[name] = {
            "branch": job.settings["branch"][name],
            "precision": evaluation["precision"],
            "map50_val": evaluation["map50"],
            "latency_ms": latency["detector_ms_p50"],
        }
    choice = choose(candidates, decision, job.settings["margin"])
    manifest = job.path(f"engine:{choice['variant']}")
    file = manifest.with_name(read_manifest(manifest).file)
    folder = job.folder / "engine"
    folder.mkdir(exist_ok=True)
    for path in {manifest, file, file.with_suffix(".bin")}:
        if path.exists():
            shutil.copyfile(path, folder / path.name)
    return {**choice, "file": file.name}


def measured(inputs: Iterable[str]) -> list[str]:
    """Variants that have an engine, its accuracy and its latency: a selection of phases may leave one of them out."""
    known = set(inputs)
    names = [role.removeprefix("engine:") for role in inputs if role.startswith("engine:")]
    return [name for name in names if {f"evaluation:{name}", f"latency:{name}"} <= known]


def choose(candidates: Mapping[str, Mapping[str, Any]], decision: str, margin: float) -> dict[str, Any]:
    """The variant to go on with, of the branches that the gate's `decision` leaves.

    Within `margin` of the best validation mAP50 the lowest latency wins. Raises CampaignError where nothing is left.
    """
    left = {name: one for name, one in candidates.items() if decision in ("both", one["branch"])}
    if not left:
        raise CampaignError(
            f"the gate's decision is {decision}, and no engine of that has both accuracy and latency: run its "
            "evaluate-* and latency-* phases"
        )
    best = max(one["map50_val"] for one in left.values())
    close = {name: one for name, one in left.items() if one["map50_val"] >= best - margin}
    variant = min(close, key=lambda name: close[name]["latency_ms"])
    return {
        "variant": variant,
        "precision": close[variant]["precision"],
        "why": f"fastest of {len(close)} within {margin} of the best mAP50 on val, of {len(left)} engines",
        "decision": decision,
        "candidates": [{"name": name, **one, "in_the_running": name in left} for name, one in candidates.items()],
    }
