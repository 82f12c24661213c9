# SPDX-License-Identifier: AGPL-3.0-only
"""The decision of the plan: is branch A good enough on val?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.step import Job

VERSION = 1
_SAYS = {"A": "go on with branch A", "both": "train and compare both branches", "B": "pivot to branch B"}


def run(job: Job) -> dict[str, Any]:
    """Decides by the recorded evaluations of branch A."""
    evaluations = {name: json.loads(job.path(f"evaluation:{name}").read_text()) for name in job.roles("evaluation")}
    return decide(evaluations, job.settings["above"], job.settings["below"])


def decide(evaluations: Mapping[str, Mapping[str, Any]], above: float, below: float) -> dict[str, Any]:
    """The decision by evaluations of "VARIANT-sSEED": the best variant counts, by the mean of its seeds.

    Raises CampaignError where a figure is of another split than val: test decides nothing.
    """
    by_variant: dict[str, list[float]] = {}
    for name, evaluation in evaluations.items():
        if evaluation["split"] != "val":
            raise CampaignError(f"evaluation of {name} is of split '{evaluation['split']}': the gate takes val only")
        by_variant.setdefault(name.rsplit("-s", 1)[0], []).append(evaluation["map50"])
    means = {name: fmean(values) for name, values in by_variant.items()}
    best = max(means, key=lambda name: means[name])
    value = round(means[best], 4)
    decision = "A" if value > above else "B" if value < below else "both"
    return {
        "metric": "map50_val",
        "value": value,
        "variant": best,
        "above": above,
        "below": below,
        "decision": decision,
        "says": _SAYS[decision],
        "evidence": [
            {"run": name, **{key: entry[key] for key in ("map50", "split", "images", "model_sha256", "data_sha256")}}
            for name, entry in evaluations.items()
        ],
    }
