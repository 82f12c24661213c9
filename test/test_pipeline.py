# SPDX-License-Identifier: Apache-2.0
"""The inference thread answers every pair it can, survives faults, and changes engines without losing images."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

import numpy as np
import pytest
from doubles import TableEngine, rows_of

from cone_detector.detections import Cones
from cone_detector.detector import StereoDetector
from cone_detector.engine.contract import EngineError
from cone_detector.frames import Frame
from cone_detector.pipeline import ClosingError, Pipeline
from cone_detector.settings import Settings

BLACK = Frame(np.zeros((720, 1280, 3), np.uint8))
ROWS = np.stack([rows_of((0, 20, 9, 50, 0.9, 0))] * 2)
WAIT_S = 10


class Log:
    """Collects what a pipeline hands on, and waits for it."""

    def __init__(self) -> None:
        self.stamps: list[tuple[int, ...]] = []
        self.tags: list[tuple] = []
        self.faults: list[Exception] = []
        self._changed = threading.Condition()

    def result(self, result, slot) -> None:
        with self._changed:
            self.stamps.append(tuple(slot.stamp_ns))
            self.tags.append(tuple(image.tag for image in result.images))
            self._changed.notify_all()

    def fault(self, error: Exception) -> None:
        with self._changed:
            self.faults.append(error)
            self._changed.notify_all()

    def wait(self, results: int = 0, faults: int = 0) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.stamps) >= results and len(self.faults) >= faults, WAIT_S)
        assert done, f"{self.stamps} results, {self.faults} faults after {WAIT_S} s"


class Held:
    """An engine's answer that a test holds back, until it says `go_on`."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def __call__(self, name, canvas):
        self.started.set()
        assert self.go_on.wait(WAIT_S)
        return ROWS


def detector(answer=lambda name, canvas: ROWS) -> StereoDetector:
    return StereoDetector(TableEngine(answer), Settings({"policy.name": "fixed_640"}))


@contextmanager
def running(made: StereoDetector, depth: int = 1) -> Iterator[tuple[Pipeline, Log]]:
    log = Log()
    pipeline = Pipeline(made, log.result, log.fault, tolerance_ns=0, depth=depth)
    pipeline.start()
    try:
        yield pipeline, log
    finally:
        pipeline.stop()


def offer_pair(pipeline: Pipeline, stamp: int) -> None:
    for side in (0, 1):
        pipeline.offer(side, stamp, BLACK, tag=(side, stamp))


def test_a_pair_is_answered_with_its_stamps_and_tags():
    with running(detector()) as (pipeline, log):
        offer_pair(pipeline, 7)
        log.wait(results=1)
    assert log.stamps == [(7, 7)]
    assert log.tags == [((0, 7), (1, 7))]


def test_a_fault_costs_one_frame_and_the_next_is_answered():
    answers = iter([None, ROWS])
    with running(detector(lambda name, canvas: next(answers))) as (pipeline, log):
        offer_pair(pipeline, 1)
        log.wait(faults=1)
        offer_pair(pipeline, 2)
        log.wait(results=1)
    assert log.stamps == [(2, 2)]


def test_while_a_frame_is_in_work_the_latest_pair_wins():
    slow = Held()
    with running(detector(slow)) as (pipeline, log):
        offer_pair(pipeline, 1)
        assert slow.started.wait(WAIT_S)
        for stamp in (2, 3, 4):
            offer_pair(pipeline, stamp)
        slow.go_on.set()
        log.wait(results=2)
    assert log.stamps == [(1, 1), (4, 4)]
    assert pipeline.counts.dropped == 2


def test_an_image_waiting_for_its_partner_survives_a_change_of_engines():
    old, new = detector(), detector()
    with running(old) as (pipeline, log):
        pipeline.offer(0, 5, BLACK, tag="left")
        pipeline.swap(new)
        pipeline.offer(1, 5, BLACK, tag="right")
        log.wait(results=1)
    assert log.tags == [("left", "right")]
    assert old.engine.closed
    assert new.engine.passes == ["640"]
    assert pipeline.counts.received == [1, 1]


def test_the_frame_in_work_ends_with_the_engine_it_began_with():
    slow = Held()
    old, new = detector(slow), detector()
    with running(old) as (pipeline, log):
        offer_pair(pipeline, 1)
        assert slow.started.wait(WAIT_S)
        offer_pair(pipeline, 2)
        pipeline.swap(new)
        assert not old.engine.closed
        slow.go_on.set()
        log.wait(results=2)
    assert log.stamps == [(1, 1), (2, 2)]
    assert (old.engine.passes, new.engine.passes) == (["640"], ["640"])


def test_every_engine_that_was_replaced_amid_one_frame_is_closed_after_it():
    slow = Held()
    old, middle, new = detector(slow), detector(), detector()
    with running(old) as (pipeline, log):
        offer_pair(pipeline, 1)
        assert slow.started.wait(WAIT_S)
        pipeline.swap(middle)
        pipeline.swap(new)
        slow.go_on.set()
        offer_pair(pipeline, 2)
        log.wait(results=2)
        assert (old.engine.closed, middle.engine.closed, new.engine.closed) == (True, True, False)


def test_stop_amid_a_frame_closes_the_engine_that_was_replaced_too():
    slow = Held()
    old, new = detector(slow), detector()
    with running(old) as (pipeline, _):
        offer_pair(pipeline, 1)
        assert slow.started.wait(WAIT_S)
        pipeline.swap(new)
        stopping = threading.Thread(target=pipeline.stop)
        stopping.start()
        assert pipeline._stop.wait(WAIT_S)
        slow.go_on.set()
        stopping.join(WAIT_S)
    assert (old.engine.closed, new.engine.closed) == (True, True)


def test_an_engine_that_cannot_be_closed_is_reported_and_work_goes_on():
    old, new = detector(), detector()

    def broken():
        raise EngineError("cudaFree: cudaErrorIllegalAddress")

    old.engine.close = broken
    with running(old) as (pipeline, log):
        pipeline.swap(new)
        log.wait(faults=1)
        offer_pair(pipeline, 1)
        log.wait(results=1)
    (fault,) = log.faults
    assert isinstance(fault, ClosingError), "it is no fault of the engine in use, which is not to be replaced for it"
    assert "cudaErrorIllegalAddress" in str(fault)


def test_a_pair_that_waits_through_a_change_of_engines_is_counted_once():
    slow = Held()
    with running(detector(slow)) as (pipeline, log):
        offer_pair(pipeline, 1)
        assert slow.started.wait(WAIT_S)
        offer_pair(pipeline, 2)
        pipeline.swap(detector())
        slow.go_on.set()
        log.wait(results=2)
    counts = pipeline.counts
    assert (counts.received, counts.paired, counts.taken) == ([2, 2], 2, 2)


def test_an_image_that_cannot_be_written_is_told_to_who_brought_it():
    with running(detector()) as (pipeline, log):
        with pytest.raises(ValueError, match="must be positive"):
            pipeline.offer(0, 1, Frame(np.zeros((0, 0, 3), np.uint8)))
        offer_pair(pipeline, 2)
        log.wait(results=1)
    assert log.stamps == [(2, 2)]


def test_times_begin_with_the_arrival_before_decoding_and_the_slower_decoder_counts():
    """An hour ago, so that nothing depends on how fast this machine is."""
    hour_ms = 3.6e6
    results = []
    log = Log()

    def keep(result, slot):
        results.append(result)
        log.result(result, slot)

    # Nothing seen asks for a second pass, which the deadline forbids.
    seen_nothing = np.stack([rows_of()] * 2)
    made = StereoDetector(TableEngine(lambda name, canvas: seen_nothing), Settings({"policy.deadline_ms": 1000.0}))
    pipeline = Pipeline(made, keep, log.fault, tolerance_ns=0)
    pipeline.start()
    try:
        arrival_ns = perf_counter_ns() - int(hour_ms * 1e6)
        for side, decode_ms in ((0, 30.0), (1, 20.0)):
            pipeline.offer(side, 1, BLACK, decode_ms=decode_ms, arrival_ns=arrival_ns)
        log.wait(results=1)
    finally:
        pipeline.stop()
    (result,) = results
    assert result.ms["decode"] == 30.0
    assert result.ms["wait"] < hour_ms <= result.ms["total"]
    assert result.forbidden


def test_stop_closes_the_engine():
    made = detector()
    with running(made):
        pass
    assert made.engine.closed


def test_stop_closes_all_engines_of_a_pipeline_that_never_started():
    old, new = detector(), detector()
    log = Log()
    pipeline = Pipeline(old, log.result, log.fault, tolerance_ns=0)
    pipeline.swap(new)
    pipeline.stop()
    assert (old.engine.closed, new.engine.closed) == (True, True)


class TestTracking:
    SETTINGS = Settings({"policy.name": "fixed_640", "stereo.tracking": True, "stereo.track_confirm_frames": 1})

    def tracking(self) -> StereoDetector:
        def one_cone(left, right, left_frame, right_frame):
            none, three = np.zeros(1), np.zeros(1, np.int64)
            place, spread = np.array([[0.0, 1.0, 5.0]]), np.eye(3)[None] * 1e-4
            return Cones(place, spread, np.ones(1, np.float32), three, none, none, three, three)

        return StereoDetector(TableEngine(lambda name, canvas: ROWS), self.SETTINGS, one_cone)

    def test_a_cone_keeps_its_id_from_frame_to_frame_and_over_a_change_of_engines(self):
        ids = []
        log = Log()

        def keep(result, slot):
            ids.append(result.track_ids.tolist())
            log.result(result, slot)

        pipeline = Pipeline(self.tracking(), keep, log.fault, tolerance_ns=0)
        pipeline.start()
        try:
            for number in range(1, 4):
                if number == 3:
                    pipeline.swap(self.tracking())
                for side in (0, 1):
                    pipeline.offer(side, number * 20_000_000, BLACK)
                log.wait(results=number)
        finally:
            pipeline.stop()
        assert ids == [[0], [0], [0]]

    def test_direct_use_tracks_by_stamp_and_begins_anew_where_stamps_jump_back(self):
        made = self.tracking()
        ids = [made.detect(BLACK, BLACK, stamp_ns).track_ids.tolist() for stamp_ns in (0, 20_000_000, 0)]
        assert ids == [[0], [0], [1]]

    def test_without_tracking_there_are_no_ids(self):
        made = self.tracking()
        made.settings = Settings({"policy.name": "fixed_640"})
        assert made.detect(BLACK, BLACK).track_ids is None


@pytest.mark.parametrize("off_cpu", [True, False])
def test_who_completes_a_pair_lets_the_inference_thread_begin_where_the_network_leaves_the_cpu_alone(
    off_cpu, monkeypatch
):
    """The caller holds the interpreter until it has done what else it has to do: the pair would wait for that."""
    given_up = []
    monkeypatch.setattr("cone_detector.pipeline.sleep", given_up.append)
    made = detector()
    made.engine.off_cpu = off_cpu
    with running(made) as (pipeline, log):
        pipeline.offer(0, 1, BLACK)
        assert not given_up
        pipeline.offer(1, 1, BLACK)
        log.wait(results=1)
    assert len(given_up) == off_cpu
