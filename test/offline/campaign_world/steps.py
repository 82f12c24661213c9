# SPDX-License-Identifier: AGPL-3.0-only
"""A step for tests of the campaign's engine: it does in seconds what trainings do in hours."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from offline_tools.campaign.step import Job

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes out.txt from its inputs. settings: text; wait_for: a file; fail: a message; decision: of a gate."""
    with (job.root / "ran.txt").open("a") as file:
        file.write(job.record.phase + "\n")
    with (job.folder / "attempts.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    (job.root / f"{job.record.phase}.started").write_text(str(os.getpid()))
    if "wait_for" in job.settings:
        _wait_for(job.root / job.settings["wait_for"])
    if "fail" in job.settings:
        raise RuntimeError(job.settings["fail"])
    read = "".join(job.path(role).read_text() for role in job.record.inputs)
    (job.folder / "out.txt").write_text(read + job.settings.get("text", ""))
    return {"decision": job.settings["decision"]} if "decision" in job.settings else {}


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path.name} never came")
        time.sleep(0.02)
