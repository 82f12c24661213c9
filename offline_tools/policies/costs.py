# SPDX-License-Identifier: AGPL-3.0-only
"""What each pass costs on a machine: measured here, or read from the figures of another one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from cone_detector.adaptive.passes import BAND, HIGH, LOW
from cone_detector.engine.contract import Engine


class CostError(ValueError):
    """Costs that cannot be read; the message names the file and what is missing."""


@dataclass(frozen=True)
class Costs:
    """Milliseconds of each pass, for a pair of images. taken: what was not measured, and how it was had."""

    machine: str
    ms: Mapping[str, float]
    taken: str = ""

    @property
    def break_even(self) -> float:
        """The share of frames that a cascade of 320 and 640 may escalate before it costs more than 640 alone."""
        return 1.0 - self.ms[LOW] / self.ms[HIGH]

    def per_frame(self, passes: Iterable[Sequence[str]]) -> np.ndarray:
        """Milliseconds of each frame, (N,). passes: by frame, the names of those that ran."""
        return np.array([sum(self.ms[name] for name in names) for names in passes])


def measure(engine: Engine, rounds: int) -> Costs:
    """Lower quartiles over `rounds`, in each of which every pass runs once.

    What else runs on the machine disturbs them less than medians, and all passes alike.
    """
    times: dict[str, list[float]] = {name: [] for name in engine.manifests}
    rng = np.random.default_rng(0)
    engine.slots[0][:] = rng.integers(0, 256, engine.slots[0].shape, np.uint8)
    for _ in range(rounds):
        for name, spent in times.items():
            start = perf_counter_ns()
            engine.infer(name, 0)
            spent.append((perf_counter_ns() - start) / 1e6)
    return Costs(engine.device, {name: float(np.percentile(spent, 25)) for name, spent in times.items()})


def read(file: Path, model: str, precision: str) -> Costs:
    """Costs from a file of `cone-tools benchmark`, or {"machine": name, "ms": {pass: milliseconds}}.

    model, precision: of the engines to take from a benchmark. A band that it lacks is taken to cost what 320 costs: at
    96 rows both networks look at as many pixels. Raises CostError.
    """
    try:
        content = json.loads(file.read_text())
        if "ms" in content:
            machine, ms = str(content["machine"]), {str(k): float(v) for k, v in content["ms"].items()}
        else:
            fitting = [one for one in content["engines"] if (one["model"], one["precision"]) == (model, precision)]
            machine = str(content["machine"]["gpu"])
            ms = {str(one["canvas"]): float(one["host_rows_ms_p50"]) for one in fitting}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CostError(f"{file} holds no costs ({error!r}): give a file of `cone-tools benchmark`") from error
    if missing := [name for name in (LOW, HIGH) if name not in ms]:
        raise CostError(
            f"{file} has no time of {model} {precision} for {', '.join(missing)}: benchmark those plans too"
        )
    if BAND in ms:
        return Costs(machine, ms)
    return Costs(machine, {**ms, BAND: ms[LOW]}, "band: not measured there, taken as 320, which has as many pixels")
