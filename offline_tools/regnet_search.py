# SPDX-License-Identifier: AGPL-3.0-only
"""A small random search of the RegNet design space for a backbone under YOLO11's neck and head.

As arXiv 2003.13678 does it: draw networks at random, keep those of one FLOPs regime, and compare them there; by cost,
by measured latency, or by a short training that stands for a long one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns

import numpy as np

from offline_tools import networks
from offline_tools.backbones import detector_yaml, stages
from offline_tools.technique import Backbone, TechniqueError

# What is drawn from: the mobile part of the paper's space, w_m as the plan sets it.
_DEPTHS = (8, 24)
_FIRST_WIDTHS = (16, 24, 32, 40, 48)
_SLOPES = (8.0, 64.0)
_GROUPS = (8, 16, 24, 32)
_STEP = 2.5

_WARMUPS, _PASSES = 3, 15


@dataclass(frozen=True)
class Budget:
    """Bounds of the whole detector: GFLOPs at 640x640, of which at least `share` are used, and parameters."""

    gflops: float
    params: float = float("inf")
    share: float = 0.85

    def __post_init__(self) -> None:
        if self.gflops <= 0 or self.params <= 0 or not 0 <= self.share < 1:
            raise TechniqueError(f"budget {self}: gflops and params must be above 0, share from 0 to below 1")

    def holds(self, gflops: float, params: int) -> bool:
        return self.share * self.gflops <= gflops <= self.gflops and params <= self.params


@dataclass(frozen=True)
class Candidate:
    """A network of the space.

    latency_ms: median of a pass over a stereo pair at 640x384. map50: of the proxy, on val.
    """

    technique: Backbone
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    params: int
    gflops: float
    latency_ms: float | None = None
    map50: float | None = None


def draw(budget: Budget, model: str, draws: int, seed: int, progress: Callable[[], None]) -> list[Candidate]:
    """Those of `draws` random networks that have four stages and keep the budget; TechniqueError where none does.

    model: whose neck and head they stand under, as yolo11n.yaml. progress: called once a draw.
    """
    random = np.random.default_rng(seed)
    found: dict[tuple[object, ...], Candidate] = {}
    for _ in range(draws):
        progress()
        technique = Backbone(
            "regnet",
            depth=int(random.integers(*_DEPTHS, endpoint=True)),
            w_0=int(random.choice(_FIRST_WIDTHS)),
            w_a=round(float(np.exp(random.uniform(*np.log(_SLOPES)))), 1),
            w_m=_STEP,
            group=int(random.choice(_GROUPS)),
        )
        try:
            blocks = stages(technique)
        except TechniqueError:
            continue
        # Different slopes can be quantized to the same network.
        shape = (tuple(blocks.widths), tuple(blocks.depths), tuple(blocks.group_widths))
        if shape in found:
            continue
        size = networks.size(networks.build(detector_yaml(technique, model), seed))
        if budget.holds(size["gflops"], size["params"]):
            found[shape] = Candidate(technique, shape[0], shape[1], size["params"], size["gflops"])
    if not found:
        raise TechniqueError(
            f"none of {draws} networks has {budget.share * budget.gflops:.1f} to {budget.gflops} GFLOPs and at most "
            f"{budget.params} parameters: draw more, or change the budget"
        )
    return list(found.values())


def rank(candidates: list[Candidate], by: str) -> list[Candidate]:
    """Candidates sorted by gflops, params or latency, least first, or by map50, best first; without a figure, last."""
    if by == "map50":
        return sorted(candidates, key=lambda one: -1.0 if one.map50 is None else one.map50, reverse=True)
    if by == "latency":
        return sorted(candidates, key=lambda one: float("inf") if one.latency_ms is None else one.latency_ms)
    return sorted(candidates, key=lambda one: getattr(one, by))


def measure(candidate: Candidate, model: str) -> Candidate:
    """`candidate` with its latency on this CPU: random weights, the car's own export and OpenVINO engine."""
    from cone_detector.engine.openvino import OpenVinoEngine
    from offline_tools.export import export

    logging.getLogger("openvino").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pt"
        networks.save(networks.build(detector_yaml(candidate.technique, model), 0), weights)
        engine = OpenVinoEngine([export(weights, Path(folder), "candidate", "640")], slots=1)
        times = []
        for _ in range(_WARMUPS + _PASSES):
            start = perf_counter_ns()
            engine.infer("640", 0)
            times.append((perf_counter_ns() - start) / 1e6)
        engine.close()
    return replace(candidate, latency_ms=round(float(np.median(times[_WARMUPS:])), 2))
