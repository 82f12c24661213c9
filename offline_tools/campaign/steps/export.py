# SPDX-License-Identifier: AGPL-3.0-only
"""Weights to the float ONNX of the engine contract."""

from __future__ import annotations

from typing import Any

from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes ONNX and manifest."""
    from offline_tools.export import export

    manifest = export(job.path("weights"), job.folder, job.settings["model"], job.settings["pass"])
    return {"file": manifest.with_suffix(".onnx").name}
