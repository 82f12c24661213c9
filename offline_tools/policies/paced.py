# SPDX-License-Identifier: AGPL-3.0-only
"""A run at camera rate, to see whether a second pass ever makes a frame late."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cone_detector.detector import StereoDetector, StereoResult
from cone_detector.engine.contract import Engine, EngineError, PassTimes
from cone_detector.engine.manifest import Manifest
from cone_detector.frames import Frame
from cone_detector.pairing import Slot
from cone_detector.pipeline import Pipeline
from cone_detector.settings import Settings, Value
from offline_tools.policies.sequences import Labelled

# Frames that are decoded before the run and shown in turn.
_FRAMES = 60
_TOLERANCE_NS = 5_000_000


class _Stopwatch:
    """The engine, with the time of each pass over the frame in work."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.manifests: Mapping[str, Manifest] = engine.manifests
        self.slots, self.close_ups = engine.slots, engine.close_ups
        self.times: PassTimes = engine.times
        self.device, self.off_cpu, self.notes = engine.device, engine.off_cpu, engine.notes
        self.spent_ms: list[float] = []

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        if fresh:
            self.spent_ms.clear()
        start = time.perf_counter_ns()
        rows = self._engine.infer(name, slot, fresh, top)
        self.spent_ms.append((time.perf_counter_ns() - start) / 1e6)
        return rows

    def close(self) -> None:
        self._engine.close()


@dataclass(frozen=True)
class PacedRun:
    """Milliseconds count from a complete pair to its detections.

    late: frames beyond the deadline. misses: those of them that would have met it without their second pass.
    escalated, forbidden: frames with a second pass, and with one that the deadline forbade.
    """

    seconds: float
    rate_hz: float
    deadline_ms: float
    frames: int
    escalated: int
    forbidden: int
    late: int
    misses: int
    p50_ms: float
    p99_ms: float


def run_paced(
    engine: Engine, labelled: Labelled, changes: Mapping[str, Value], rate_hz: float, seconds: float
) -> PacedRun:
    """Feeds the pipeline at `rate_hz`; the deadline is the next frame. Closes the engine. Raises EngineError."""
    deadline = 1e3 / rate_hz
    settings = Settings({**changes, "policy.deadline_ms": deadline, "stereo.enabled": False})
    watch = _Stopwatch(engine)
    frames = _decode(labelled)
    faults: list[Exception] = []
    totals: list[float] = []
    counts = dict.fromkeys(("escalated", "forbidden", "late", "misses"), 0)

    def on_result(result: StereoResult, slot: Slot) -> None:
        # Results are looked at before `total` is booked: the pair's arrival is in the slot.
        total = (time.perf_counter_ns() - max(slot.arrival_ns)) / 1e6
        totals.append(total)
        counts["escalated"] += result.escalated
        counts["forbidden"] += bool(result.forbidden)
        counts["late"] += total > deadline
        counts["misses"] += result.escalated and total > deadline >= total - watch.spent_ms[1]

    pipeline = Pipeline(StereoDetector(watch, settings), on_result, faults.append, _TOLERANCE_NS)
    pipeline.start()
    begin = time.perf_counter()
    for number, (left, right) in enumerate(itertools.cycle(frames)):
        due = number / rate_hz
        if due >= seconds or faults:
            break
        time.sleep(max(0.0, begin + due - time.perf_counter()))
        stamp = round(due * 1e9)
        pipeline.offer(0, stamp, left)
        pipeline.offer(1, stamp, right)
    pipeline.stop()
    if faults or not totals:
        raise EngineError(f"the paced run failed after {len(totals)} frames: {faults[0] if faults else 'no result'}")
    p50, p99 = (float(p) for p in np.percentile(totals, (50, 99)))
    return PacedRun(time.perf_counter() - begin, rate_hz, deadline, len(totals), **counts, p50_ms=p50, p99_ms=p99)


def _decode(labelled: Labelled) -> list[tuple[Frame, Frame]]:
    pairs = itertools.chain.from_iterable(sequence.pairs for sequence in labelled.sequences)
    return [pair.read() for pair in itertools.islice(pairs, _FRAMES)]
