# SPDX-License-Identifier: AGPL-3.0-only
"""Writes the sources of the training configuration as the one folder that all trainings read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from offline_tools.campaign.hashing import PREPARED, tree_sha256
from offline_tools.campaign.step import Job
from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import Source, prepare
from offline_tools.train_config import read_config

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes `data/`; returns images a split and hashes."""
    if "scenes" in job.record.inputs:
        sources = [Source(job.path("scenes").parent)]
    else:
        config = {"name": "prepare", "model": "", "sources": job.settings["sources"], "stages": []}
        path = job.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        sources = list(read_config(path).sources)
    folder: Path = job.folder / "data"
    found = prepare(sources, folder, SplitGuard.load())
    return {
        "images": dict(found.images),
        "sha256": dict(found.sha256),
        # Names the labels too, so that a corrected label is seen downstream.
        "tree_sha256": tree_sha256(folder, PREPARED),
    }
