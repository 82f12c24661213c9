# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the whole pipeline on a CPU, against its own bare inference and against ultralytics, on the same pairs.

All take turns on the same pairs in one run: a short rest, one pair that does not count, then a few that do. So no
other's threads are still spinning, each runs as it does from frame to frame, and all see the same machine.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cone_detector.detector import StereoDetector
from cone_detector.frames import Frame
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.loading import load_detector
from cone_detector.replay.machine import machine, versions
from cone_detector.replay.processes import ReplayError
from cone_detector.settings import Settings, Value

# Worker threads of PyTorch and OpenVINO spin for up to this long after their work.
_REST_S = 0.3
_PAIRS_A_TURN = 4
_WORKER = "offline_tools.predict_worker"

# Names of what is measured; the fields of the figures are these with _ms_p50 and _ms_p99.
PIPELINE, BARE = "pipeline", "bare_inference"
# The pipeline as the node runs it: with the policy of the plan, where the others look at the whole image at 640.
ADAPTIVE = "adaptive_pipeline"
# On its own account ultralytics leaves one core free (its NUM_THREADS); the second runs PyTorch on all of them.
TORCH, TORCH_ALL_CORES, OPENVINO = "ultralytics", "ultralytics_all_cores", "ultralytics_openvino_int8"
THEIRS = (TORCH, TORCH_ALL_CORES, OPENVINO)


@dataclass(frozen=True)
class CpuPlan:
    """What to run. python: of the environment that has ultralytics. weights: .pt of the engine's model.

    images: folder that ultralytics calibrates its INT8 export with. pairs: of the bag, evenly spread.
    """

    bag: Path
    settings: Mapping[str, Value]
    python: Path
    weights: Path
    images: Path
    rounds: int
    pairs: int


def bench_cpu(plan: CpuPlan) -> dict[str, Any]:
    """Runs the benchmark and returns its figures. Raises what `load_detector` raises, BagError, or ReplayError."""
    adaptive = Settings({**plan.settings, "engine.runtime": "openvino"})
    # One pass over the whole image at 640, as ultralytics does: nothing is saved by looking less closely.
    fixed = adaptive.changed({"policy.name": "fixed_640"})
    with StereoBag(plan.bag) as bag, TemporaryDirectory() as folder:
        detector, engine, notes = load_detector(bag, adaptive)
        pairs = _spread([pair.frames() for pair in bag.pairs()], plan.pairs)
        file = Path(folder) / "pairs.npy"
        np.save(file, np.stack([np.stack([left.bgr(), right.bgr()]) for left, right in pairs]))
        with _worker(plan, file, Path(folder)) as (ask, hello):
            times = _take_turns(detector, fixed, adaptive, pairs, ask, plan.rounds)
        detector.close()
    figures: dict[str, Any] = {"pairs_measured": len(times[PIPELINE])}
    for name, values in times.items():
        for percentile in (50, 99):
            figures[f"{name}_ms_p{percentile}"] = round(float(np.percentile(values, percentile)), 3)
    figures["pipeline_over_bare_inference"] = _ratio(figures, PIPELINE, BARE)
    for name in THEIRS:
        figures[f"speedup_over_{name}"] = _ratio(figures, name, PIPELINE)
        figures[f"adaptive_speedup_over_{name}"] = _ratio(figures, name, ADAPTIVE)
    return {
        **figures,
        "engine": engine,
        "adaptive_policy": adaptive["policy.name"],
        "bag": plan.bag.name,
        "weights": plan.weights.name,
        "ultralytics": {key: value for key, value in hello.items() if key != "event"},
        "notes": notes,
        "machine": machine(),
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _take_turns(
    detector: StereoDetector,
    fixed: Settings,
    adaptive: Settings,
    pairs: list[tuple[Frame, Frame]],
    ask: Callable[[str, int], float],
    rounds: int,
) -> dict[str, list[float]]:
    """Milliseconds by name, in the same order of pairs for each."""
    times: dict[str, list[float]] = {name: [] for name in (PIPELINE, BARE, ADAPTIVE, *THEIRS)}

    def pipeline(number: int) -> float:
        begin = time.perf_counter_ns()
        detector.detect(*pairs[number])
        return (time.perf_counter_ns() - begin) / 1e6

    def bare(number: int) -> float:
        for side, frame in enumerate(pairs[number]):
            detector.write(0, side, frame)
        begin = time.perf_counter_ns()
        detector.engine.infer("640", 0)
        return (time.perf_counter_ns() - begin) / 1e6

    def ours(numbers: list[int], turn: int) -> None:
        """Pipeline and bare inference pair by pair, either one first: their ratio is close to one."""
        detector.settings = fixed
        pipeline(numbers[0])
        for number in numbers:
            measured = {}
            for one in ((pipeline, bare), (bare, pipeline))[turn % 2]:
                measured[one] = one(number)
            times[PIPELINE].append(measured[pipeline])
            times[BARE].append(measured[bare])

    def ours_adaptive(numbers: list[int], _: int) -> None:
        detector.settings = adaptive
        pipeline(numbers[0])
        times[ADAPTIVE].extend(pipeline(number) for number in numbers)

    def theirs(name: str) -> Callable[[list[int], int], None]:
        def run(numbers: list[int], _: int) -> None:
            ask(name, numbers[0])
            times[name].extend(ask(name, number) for number in numbers)

        return run

    takers: list[Callable[[list[int], int], None]] = [ours, ours_adaptive, *map(theirs, THEIRS)]
    for turn in range(rounds):
        numbers = [(turn * _PAIRS_A_TURN + n) % len(pairs) for n in range(_PAIRS_A_TURN)]
        for n in range(len(takers)):
            time.sleep(_REST_S)
            takers[(turn + n) % len(takers)](numbers, turn)
    return times


@contextmanager
def _worker(plan: CpuPlan, pairs: Path, folder: Path) -> Iterator[tuple[Callable[[str, int], float], dict[str, Any]]]:
    """Ultralytics in a process of its own environment: a function that times one prediction, and its versions.

    Raises ReplayError where the process ends.
    """
    log = folder / "worker.log"
    command = [str(plan.python), "-m", _WORKER, str(pairs), str(plan.weights), str(plan.images)]
    root = Path(__file__).resolve().parents[2]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=root
        )

    def answer() -> dict[str, Any]:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith('{"event"'):
                return json.loads(line)
        raise ReplayError(f"{' '.join(command)} ended with code {process.wait()}:\n{log.read_text()[-2000:]}")

    def ask(name: str, number: int) -> float:
        assert process.stdin is not None
        process.stdin.write(f"{name} {number}\n")
        process.stdin.flush()
        return float(answer()["ms"])

    try:
        yield ask, answer()
    finally:
        process.terminate()
        process.wait()


def _spread(pairs: list[tuple[Frame, Frame]], count: int) -> list[tuple[Frame, Frame]]:
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    return [pairs[i] for i in chosen]


def _ratio(figures: Mapping[str, Any], above: str, below: str) -> float:
    return round(figures[f"{above}_ms_p50"] / figures[f"{below}_ms_p50"], 3)
