# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign's figures in one file, and the report on them."""

from __future__ import annotations

import importlib.util
from typing import Any

from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.records import write_json
from offline_tools.campaign.step import Job
from offline_tools.campaign.summary import summarize

VERSION = 2


def run(job: Job) -> dict[str, Any]:
    """Writes campaign.json and the report on it, as PDF too where Typst is installed. Raises CampaignError."""
    from offline_tools.cli import main

    write_json(
        job.folder / "campaign.json", {"campaign": job.settings["campaign"], **summarize(job.root, job.record.phase)}
    )
    form = "both" if importlib.util.find_spec("typst") else "html"
    if main(["report", "--campaign", str(job.folder), "--output", str(job.folder), "--format", form]):
        raise CampaignError("the report was not written: see the log")
    return {"files": sorted(path.name for path in job.folder.glob("report.*"))}
