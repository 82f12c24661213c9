# SPDX-License-Identifier: AGPL-3.0-only
"""TensorRT plans for this machine's GPU."""

from __future__ import annotations

import shutil
from typing import Any

from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Builds the INT8 plan into `engines/`, verified against its float ONNX by `cone-tools build`."""
    from offline_tools.cli import main

    sources, engines = job.folder / "onnx", job.folder / "engines"
    sources.mkdir(exist_ok=True)
    for role in ("float", "quantized"):
        manifest = job.path(role)
        for path in (manifest, manifest.with_suffix(".onnx")):
            shutil.copyfile(path, sources / path.name)
    if main(["build", "--engines", str(sources), "--output", str(engines), "--precision", "int8"]):
        raise CampaignError("the plan was not built: see the log")
    return {"plans": sorted(path.name for path in engines.glob("*.plan"))}
