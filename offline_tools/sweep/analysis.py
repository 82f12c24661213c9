# SPDX-License-Identifier: AGPL-3.0-only
"""What a sweep found: its trials ranked, what mattered, what the crashed ones had in common."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offline_tools.sweep import SweepError
from offline_tools.sweep.failures import Crash, crashes
from offline_tools.sweep.influence import Influence, influences, too_few
from offline_tools.sweep.record import COMPLETED, FAILED, INTERRUPTED, PRUNED, RUNNING, TrialRecord, read_records
from offline_tools.sweep.space import Parameter


@dataclass(frozen=True)
class Analysis:
    """Of one sweep.

    ranked: trials with a figure, those that ran to their end first, best first. others: failed or still running.
    remark: what the reader must know of `influences`; why there are none, where there are none.
    """

    name: str
    metric: str
    asked: int
    space: Mapping[str, Parameter]
    ranked: Sequence[TrialRecord]
    others: Sequence[TrialRecord]
    influences: Sequence[Influence]
    remark: str
    crashes: Sequence[Crash]

    @property
    def states(self) -> dict[str, int]:
        """How many trials ended in which way."""
        return dict(Counter(trial.state for trial in (*self.ranked, *self.others)))

    def to_json(self) -> dict[str, Any]:
        """The same as plain values; the epochs and logs of a trial stay in its own record."""
        left_out = ("epochs", "log")
        trials = {
            key: [
                {name: value for name, value in dataclasses.asdict(trial).items() if name not in left_out}
                for trial in getattr(self, key)
            ]
            for key in ("ranked", "others")
        }
        return {
            "name": self.name,
            "metric": self.metric,
            "measured_on": "val",
            "trials_asked": self.asked,
            "states": self.states,
            **trials,
            "influences": [dataclasses.asdict(one) for one in self.influences],
            "remark": self.remark,
            "crashes": [dataclasses.asdict(one) for one in self.crashes],
        }


def analyze(folder: Path) -> Analysis:
    """Reads a sweep's folder. Raises SweepError where it holds none, or no trial yet."""
    try:
        sweep = json.loads((folder / "sweep.json").read_text())
        space = {
            name: Parameter(name, one["kind"], tuple(one["bounds"]), tuple(one["options"]))
            for name, one in sweep["space"].items()
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SweepError(f"{folder} holds no sweep: {error}") from error
    trials = read_records(folder)
    if not trials:
        raise SweepError(f"{folder} holds no trial yet")
    completed = sorted((trial for trial in trials if trial.state == COMPLETED), key=lambda trial: -(trial.value or 0.0))
    pruned = sorted((trial for trial in trials if trial.state == PRUNED), key=lambda trial: -(trial.value or 0.0))
    ended = [trial for trial in trials if trial.state not in (RUNNING, INTERRUPTED)]
    # A trial whose batch the trainer halved did not try what its parameters say.
    honest = [trial for trial in completed if not trial.notes]
    remark = too_few(honest, space)
    found = [] if remark else influences(honest, space, int(sweep["seed"]))
    if found and pruned:
        remark = f"{len(pruned)} trials stopped early are left out, so what makes a trial bad early counts for less"
    return Analysis(
        str(sweep["name"]),
        str(sweep["metric"]),
        int(sweep["trials"]),
        space,
        [*completed, *pruned],
        [trial for trial in trials if trial.state in (FAILED, RUNNING, INTERRUPTED)],
        found,
        remark,
        crashes(ended, space),
    )
