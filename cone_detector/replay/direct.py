# SPDX-License-Identifier: Apache-2.0
"""The core on a bag without ROS: back to back, as fast as it goes, and paced, as a camera sends."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns
from typing import TypeVar

from cone_detector.detector import StereoDetector, StereoResult
from cone_detector.frames import Frame
from cone_detector.pairing import LEFT, RIGHT, Slot
from cone_detector.pipeline import Pipeline
from cone_detector.replay.bag_topics import StereoTopics
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.loading import load_detector
from cone_detector.replay.records import Recording, record_of
from cone_detector.settings import Settings, Value

T = TypeVar("T")


# Pairs that run before the clock starts: first touches of memory and caches.
_WARM_UP = 3
# A pipeline that has not taken the last pair by then hangs.
_PATIENCE_S = 5.0


def run_direct(
    path: Path, topics: StereoTopics, changes: Mapping[str, Value], at_rate: bool, rate_hz: float, seconds: float
) -> Recording:
    """Loads the engine that the settings choose and runs the bag: `paced` where at_rate, else `back_to_back`.

    rate_hz: 0 takes the recorded rate. Raises BagError, FrameError, SettingError, EngineError or ManifestError.
    """
    settings = Settings(changes)
    with StereoBag(path, topics) as bag:
        detector, name, notes = load_detector(bag, settings)
        rate = (rate_hz or bag.rate_hz() or 30.0) if at_rate else 0.0
        mode = "direct, paced" if at_rate else "direct, back to back"
        recording = Recording(mode, str(path), rate, name, dict(changes), notes=notes)
        try:
            (paced if at_rate else back_to_back)(bag, detector, recording, seconds)
        finally:
            detector.close()
    return recording


def back_to_back(bag: StereoBag, detector: StereoDetector, recording: Recording, seconds: float) -> None:
    """Runs pair after pair and adds to `recording`.

    seconds: loop over the bag for so long; 0 runs it once. Decoding of compressed images is a stage of its own and not
    part of `total`, as in the node. Raises BagError, FrameError or EngineError.
    """
    pairs = list(bag.pairs())
    for pair in pairs[:_WARM_UP]:
        detector.detect(*pair.frames())
    start = perf_counter_ns()
    for pair in _for_seconds(pairs, seconds):
        begin = perf_counter_ns()
        left, right = pair.frames()
        decoded = perf_counter_ns()
        result = detector.detect(left, right, pair.left.stamp_ns)
        end = perf_counter_ns()
        result.ms["decode"], result.ms["total"] = (decoded - begin) / 1e6, (end - decoded) / 1e6
        recording.frames.append(record_of(result, (end - start) / 1e9, math.nan))
        recording.sent += 1
    recording.seconds = (perf_counter_ns() - start) / 1e9


def paced(bag: StereoBag, detector: StereoDetector, recording: Recording, seconds: float) -> None:
    """Feeds the node's pipeline at `recording.rate_hz` and adds to `recording`; age counts from the moment of feeding.

    Images are decoded beforehand, as a camera sends them. seconds: as in `back_to_back`. The detector is closed.
    Raises BagError, FrameError, or the first fault of the pipeline.
    """
    frames = [pair.frames() for pair in bag.pairs()]
    for left, right in frames[:_WARM_UP]:
        detector.detect(left, right)
    faults: list[Exception] = []
    start = perf_counter_ns()

    def take(result: StereoResult, slot: Slot) -> None:
        now = perf_counter_ns()
        recording.frames.append(record_of(result, (now - start) / 1e9, (now - slot.stamp_ns[LEFT]) / 1e6))

    pipeline = Pipeline(detector, take, faults.append, tolerance_ns=0, depth=int(detector.settings["queue.depth"]))
    pipeline.start()
    try:
        _feed(pipeline, _for_seconds(frames, seconds), recording, start)
    finally:
        pipeline.stop()
    recording.seconds = (perf_counter_ns() - start) / 1e9
    if faults:
        raise faults[0]


def _feed(pipeline: Pipeline, frames: Iterator[tuple[Frame, Frame]], recording: Recording, start: int) -> None:
    period = round(1e9 / recording.rate_hz)
    due = start
    for left, right in frames:
        remaining = due - perf_counter_ns()
        if remaining > 0:
            time.sleep(remaining / 1e9)
        stamp = perf_counter_ns()
        pipeline.offer(LEFT, stamp, left)
        pipeline.offer(RIGHT, stamp, right)
        recording.sent += 1
        due = max(due + period, stamp)
    # The pair that waits is taken before the pipeline stops, and the one in work is finished by it.
    counts, patience = pipeline.counts, time.monotonic() + _PATIENCE_S
    while counts.taken + counts.dropped < counts.paired and time.monotonic() < patience:
        time.sleep(0.001)


def _for_seconds(items: Sequence[T], seconds: float) -> Iterator[T]:
    """The items once, or over and over until `seconds` have passed."""
    if not seconds:
        yield from items
        return
    end = time.monotonic() + seconds
    for item in cycle(items):
        if time.monotonic() >= end:
            return
        yield item
