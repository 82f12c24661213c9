# SPDX-License-Identifier: AGPL-3.0-only
"""The final evaluation of the chosen engine on the test split: once, and in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cone_detector.engine.manifest import read_manifest
from offline_tools.campaign.step import Job
from offline_tools.campaign.steps.evaluate import dataset
from offline_tools.datasets import read_dataset
from offline_tools.datasets.fingerprint import data_sha256
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.ledger import read_ledger

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Returns the evaluation; that of the ledger where this engine was evaluated on these images before."""
    from offline_tools.evaluate import evaluate

    guard, source, ledger = SplitGuard.load(), dataset(job), Path(job.settings["ledger"])
    if str(ledger).startswith("@"):
        ledger = job.root / str(ledger)[1:]
    manifest = job.path("engine")
    samples = guard.open(read_dataset(source.path), "test", Purpose.FINAL_TEST)
    data = data_sha256(item.content for item in guard.check((one.image for one in samples), Purpose.FINAL_TEST))
    model = read_manifest(manifest).file_sha256
    for entry in read_ledger(ledger):
        # A kill between the ledger's entry and this phase's record is no reason for a second look.
        if (entry.model_sha256, entry.data_sha256) == (model, data):
            return {**vars(entry), "split": "test", "from_ledger": True}
    return {**evaluate(manifest, source, "test", guard, ledger=ledger).to_record(False), "from_ledger": False}
