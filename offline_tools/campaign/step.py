# SPDX-License-Identifier: AGPL-3.0-only
"""The process of one phase: reads what its record asks for, does it, writes what it found out."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offline_tools.campaign.phase import CampaignError, Phase, step_module
from offline_tools.campaign.records import FIGURES, Record, read_record, write_json


@dataclass(frozen=True)
class Job:
    """What a step is given. folder: of the phase, as seen from the working directory. device: "cpu" or "0"."""

    folder: Path
    record: Record

    @property
    def settings(self) -> dict[str, Any]:
        return self.record.settings

    @property
    def root(self) -> Path:
        """The campaign's folder."""
        return self.folder.parent.parent

    @property
    def device(self) -> str:
        """For ultralytics: the campaign lets each phase see one GPU only, which then is number 0."""
        return "cpu" if self.record.device == "cpu" else "0"

    def paths(self, role: str) -> list[Path]:
        """The files of an input."""
        entry = self.record.inputs[role]
        return [Path(path) if entry["external"] else self.root / path for path in entry["paths"]]

    def path(self, role: str) -> Path:
        """The one file of an input. Raises CampaignError where it is not one."""
        paths = self.paths(role)
        if len(paths) != 1:
            raise CampaignError(f"input {role} of {self.record.phase} is {len(paths)} files, must be one")
        return paths[0]

    def roles(self, prefix: str) -> list[str]:
        """Inputs of one kind, "PREFIX:NAME", by their names."""
        return [role.split(":", 1)[1] for role in self.record.inputs if role.startswith(f"{prefix}:")]


def main(arguments: list[str]) -> int:
    """Runs the step of the phase in the folder `arguments[0]`; returns the exit code."""
    folder = Path(arguments[0])
    record = read_record(folder)
    if record is None:
        raise CampaignError(f"{folder} has no record: start the phase through `cone-tools campaign`")
    module = step_module(Phase(record.phase, record.step))
    try:
        figures = module.run(Job(folder, record))
    except (ValueError, RuntimeError, OSError) as error:
        # The last line of the log is what the campaign shows.
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    write_json(folder / FIGURES, figures or {})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
