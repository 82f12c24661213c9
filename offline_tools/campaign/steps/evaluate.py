# SPDX-License-Identifier: AGPL-3.0-only
"""Accuracy of an engine on the validation split, through the car's own detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offline_tools.campaign.step import Job
from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import Source

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Returns an entry as in docs/benchmarks/accuracy.json."""
    from offline_tools.evaluate import evaluate

    split = job.settings["split"]
    return evaluate(job.path("engine"), dataset(job), split, SplitGuard.load()).to_record(shipped=False)


def dataset(job: Job) -> Source:
    """The labelled frames that the phase reads."""
    path: Path = job.path("dataset")
    aspect = job.settings["aspect"]
    folder = path.parent if path.name == "figures.json" else path
    return Source(folder, tuple(aspect) if aspect else None, border=job.settings["border"])
