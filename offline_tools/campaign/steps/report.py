# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign's figures in one file, and the report on them."""

from __future__ import annotations

import importlib.util
from typing import Any

from offline_tools.campaign.records import write_json
from offline_tools.campaign.step import Job
from offline_tools.campaign.summary import summarize

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes campaign.json, and report.html and report.pdf where their packages are installed."""
    write_json(job.folder / "campaign.json", summarize(job.root))
    if importlib.util.find_spec("offline_tools.report.command") is None:
        return {"report": "not installed"}
    from offline_tools.cli import main

    main(["report", "--campaign", str(job.root), "--output", str(job.folder)])
    return {"report": sorted(path.name for path in job.folder.glob("report.*"))}
