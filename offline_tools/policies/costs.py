# SPDX-License-Identifier: AGPL-3.0-only
"""What each pass costs on a machine: measured here, or read from the figures of another one, or simulated."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from cone_detector.adaptive.passes import BAND, HIGH, LOW
from cone_detector.engine.contract import Engine


class CostError(ValueError):
    """Costs that cannot be read; the message names the file and what is missing."""


@dataclass(frozen=True)
class Costs:
    """Milliseconds of each pass over a pair of images, from the call of the engine to its rows in host memory.

    Not in it: letterbox and suppression of doubles. ms: as a frame's first pass. second_ms: as its second, for those
    that then cost something else, since a canvas is uploaded once. taken: what was not measured, and how it was had.
    simulated: nobody measured them; error_pct: how far off they may then be.
    """

    machine: str
    ms: Mapping[str, float]
    taken: str = ""
    second_ms: Mapping[str, float] = field(default_factory=dict)
    simulated: bool = False
    error_pct: float = 0.0

    @property
    def break_even(self) -> float:
        """The share of frames that a cascade of 320 and 640 may escalate before it costs more than 640 alone.

        (t640 - t320) / t640', where t' is a frame's second pass, over pixels that are already there.
        """
        return (self.ms[HIGH] - self.ms[LOW]) / self.second(HIGH)

    def second(self, name: str) -> float:
        """Milliseconds of a pass as a frame's second."""
        return self.second_ms.get(name, self.ms[name])

    def per_frame(self, passes: Iterable[Sequence[str]]) -> np.ndarray:
        """Milliseconds of each frame, (N,). passes: by frame, the names of those that ran, in order."""
        return np.array([self.ms[first] + sum(map(self.second, more)) for first, *more in passes])

    def tilted(self, percent: float) -> Costs:
        """The same with 640 so much slower and all other passes so much faster; negative: the other way round."""

        def tilt(times: Mapping[str, float]) -> dict[str, float]:
            return {name: ms * (1 + (percent if name == HIGH else -percent) / 100) for name, ms in times.items()}

        return replace(self, ms=tilt(self.ms), second_ms=tilt(self.second_ms))


def measure(engine: Engine, rounds: int) -> Costs:
    """Lower quartiles over `rounds`, in each of which every pass runs once, and again where that saves an upload.

    What else runs on the machine disturbs them less than medians, and all passes alike.
    """
    first: dict[str, list[float]] = {name: [] for name in engine.manifests}
    second: dict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(0)
    engine.slots[0][:] = rng.integers(0, 256, engine.slots[0].shape, np.uint8)
    for _ in range(rounds):
        for name, spent in first.items():
            spent.append(_timed(engine, name, True))
            # NaN where nothing is uploaded.
            if name not in engine.close_ups and engine.times.upload_ms > 0:
                second[name].append(_timed(engine, name, False))
    return Costs(engine.device, _quartiles(first), second_ms=_quartiles(second))


def _timed(engine: Engine, name: str, fresh: bool) -> float:
    start = perf_counter_ns()
    engine.infer(name, 0, fresh)
    return (perf_counter_ns() - start) / 1e6


def _quartiles(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.percentile(spent, 25)) for name, spent in times.items()}


def read(file: Path, model: str, precision: str) -> Costs:
    """Costs from a file of `cone-tools benchmark` or `cone-tools projection`, or {"machine": name, "ms": {pass: ms}}.

    model, precision: of the engines to take. A band that is missing is taken to cost what 320 costs: at 96 rows both
    networks look at as many pixels. Raises CostError.
    """
    try:
        content = json.loads(file.read_text())
        if "ms" in content:
            costs = Costs(str(content["machine"]), _floats(content["ms"]), "", _floats(content.get("second_ms", {})))
        elif "passes" in content:
            costs = _projected(content, model, precision)
        else:
            costs = _benchmarked(content, model, precision)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CostError(
            f"{file} holds no costs ({error!r}): give a file of `cone-tools benchmark` or `cone-tools projection`"
        ) from error
    if missing := [name for name in (LOW, HIGH) if name not in costs.ms]:
        raise CostError(
            f"{file} has no time of {model} {precision} for {', '.join(missing)}: benchmark those plans too"
        )
    if BAND in costs.ms:
        return costs
    taken = f"{costs.taken} band: not known there, taken as 320, which has as many pixels.".strip()
    return replace(costs, ms={**costs.ms, BAND: costs.ms[LOW]}, taken=taken)


def _benchmarked(content: dict[str, Any], model: str, precision: str) -> Costs:
    fitting = _fitting(content["engines"], model, precision)
    ms = {str(one["canvas"]): float(one["host_rows_ms_p50"]) for one in fitting}
    uploads = {str(one["canvas"]): float(one["gpu_upload_ms_p50"]) for one in fitting}
    again = {name: ms[name] - uploads[name] for name in (LOW, HIGH) if name in ms}
    return Costs(str(content["machine"]["gpu"]), ms, "Second passes: the first's time less its upload.", again)


def _projected(content: dict[str, Any], model: str, precision: str) -> Costs:
    fitting = _fitting(content["passes"], model, precision)
    first, second = ({str(one["canvas"]): float(one[key]) for one in fitting} for key in ("first_ms", "second_ms"))
    error = float(content["error_pct"])
    taken = f"Simulated by `cone-tools projection` from times on {content['measured_on']}, within {error:.0f} %."
    return Costs(f"{content['gpu']}, simulated", first, taken, second, True, error)


def _fitting(records: Sequence[dict[str, Any]], model: str, precision: str) -> list[dict[str, Any]]:
    return [one for one in records if (one["model"], one["precision"]) == (model, precision)]


def _floats(times: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(ms) for name, ms in times.items()}
