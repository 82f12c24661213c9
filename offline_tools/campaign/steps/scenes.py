# SPDX-License-Identifier: AGPL-3.0-only
"""Renders a small dataset, for a campaign that has no frames."""

from __future__ import annotations

from typing import Any

import yaml

from cone_detector.classes import CLASS_NAMES
from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes a YOLO dataset, each split drawn with a seed of its own; returns pictures a split."""
    from offline_tools.scenes.dataset import write_training_set

    counts = job.settings["counts"]
    for seed, (split, count) in enumerate(counts.items()):
        write_training_set(job.folder / split, count, seed, 88, 1)
    settings = {**{split: f"{split}/images" for split in counts}, "names": list(CLASS_NAMES)}
    (job.folder / "data.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return {"images": counts}
