# SPDX-License-Identifier: AGPL-3.0-only
"""The best of a variant's seeds, by validation mAP50 through the car's detector."""

from __future__ import annotations

import json
import shutil
from typing import Any

from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Copies the best engine and its manifest; returns its evaluation, its seed, and what each seed reached."""
    evaluations = {seed: json.loads(job.path(f"evaluation:{seed}").read_text()) for seed in job.roles("evaluation")}
    best = max(evaluations, key=lambda seed: evaluations[seed]["map50"])
    manifest = job.path(f"engine:{best}")
    for path in (manifest, manifest.with_suffix(".onnx")):
        shutil.copyfile(path, job.folder / path.name)
    seeds = {seed: evaluation["map50"] for seed, evaluation in evaluations.items()}
    return {**evaluations[best], "seed": int(best), "map50_by_seed": seeds}
