# SPDX-License-Identifier: Apache-2.0
"""The running detector: images go in as they come, one thread does the work, results come out.

The node and the paced replay feed it alike. An image is letterboxed by whoever brings it; the inference thread takes
complete pairs, of which the latest wins; a fault costs one frame and is reported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import perf_counter_ns, sleep
from typing import Any, NamedTuple

from cone_detector.detector import CameraImage, StereoDetector, StereoResult
from cone_detector.frames import Frame
from cone_detector.latency import StageClock
from cone_detector.pairing import Pairer, PairingCounts, Slot

# How long the inference thread waits before it looks whether it should end or change engines.
_WAIT_S = 0.2
# A frame takes milliseconds: one that takes so long hangs, and who stops the pipeline must not hang with it.
_STOP_S = 1.5
# Long enough for another thread to wake.
_YIELD_S = 50e-6


class ClosingError(RuntimeError):
    """An engine that is no longer in use could not be closed; the one in use is well."""


class _Intake(NamedTuple):
    """What it took to bring an image in: milliseconds, and perf_counter_ns before and after it was letterboxed."""

    decode_ms: float
    decoded_ns: int
    written_ns: int


class Pipeline:
    """Pairs, detects and hands on.

    on_result: called in the inference thread with each result and its slot, whose stamps and tags are still there.
    on_fault: called with the exception that cost a frame, and with a ClosingError, which cost none.
    """

    def __init__(
        self,
        detector: StereoDetector,
        on_result: Callable[[StereoResult, Slot], None],
        on_fault: Callable[[Exception], None],
        tolerance_ns: int,
        depth: int = 1,
    ) -> None:
        self._detector = detector
        self._pairer = Pairer(tolerance_ns, depth)
        self._on_result = on_result
        self._on_fault = on_fault
        # Replaced, and closed as soon as the inference thread has let go of them.
        self._retired: list[StereoDetector] = []
        # Taken to bring an image in and to swap engines; never while a network runs.
        self._intake = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)

    @property
    def detector(self) -> StereoDetector:
        return self._detector

    @property
    def counts(self) -> PairingCounts:
        return self._pairer.counts

    @property
    def running(self) -> bool:
        """Whether the inference thread is there."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the inference thread after the frame in work and closes the engines.

        A pass that hangs is not waited for: `running` stays true, and the engines are closed should it ever end.
        """
        self._stop.set()
        if self._thread.ident is None:
            self._close([*self._retired, self._detector])
        else:
            self._thread.join(_STOP_S)

    def offer(
        self,
        side: int,
        stamp_ns: int,
        frame: Frame,
        tag: Any = None,
        decode_ms: float = 0.0,
        arrival_ns: int | None = None,
    ) -> None:
        """Brings in one image. The frame's memory must stay until its result is out.

        side: 0 left, 1 right. arrival_ns: perf_counter_ns when it came, before it was decoded; now where not given.
        """
        if arrival_ns is None:
            arrival_ns = perf_counter_ns()
        with self._intake:
            paired = self._write(side, stamp_ns, arrival_ns, frame, tag, decode_ms)
        if paired and self._detector.engine.off_cpu:
            # Lets the inference thread have the interpreter now, and not when the caller has done all else that it has
            # to do (0.3 to 0.4 ms in rclpy's executor). A network on the CPU would have to share its cores with that.
            sleep(_YIELD_S)

    def swap(self, detector: StereoDetector) -> None:
        """Goes on with another detector; images that wait move over, the frame in work finishes with the old one."""
        with self._intake:
            old = self._pairer
            detector.tracker = self._detector.tracker
            self._retired.append(self._detector)
            self._detector, self._pairer = detector, Pairer(old.tolerance_ns, old.depth)
            self._pairer.counts = old.counts
            slots = old.retire()
            waiting = [
                (slot.stamp_ns[side], slot.arrival_ns[side], side, slot.payload[side])
                for slot in slots
                for side in (0, 1)
                if slot.filled[side]
            ]
            # What moves over is counted anew.
            self.counts.paired -= sum(slot.complete for slot in slots)
            for stamp_ns, arrival_ns, side, (image, times) in sorted(waiting, key=lambda item: item[:3]):
                self.counts.received[side] -= 1
                self._write(side, stamp_ns, arrival_ns, image.frame, image.tag, times.decode_ms)

    def _write(self, side: int, stamp_ns: int, arrival_ns: int, frame: Frame, tag: Any, decode_ms: float) -> bool:
        """Whether that makes a pair."""
        slot = self._pairer.place(side, stamp_ns, arrival_ns)
        begin = perf_counter_ns()
        try:
            image = self._detector.write(slot.index, side, frame, tag)
        except Exception:
            self._pairer.abandon(slot, side)
            raise
        slot.payload[side] = (image, _Intake(decode_ms, begin, perf_counter_ns()))
        return self._pairer.complete(slot, side)

    def _work(self) -> None:
        detector, pairer = self._detector, self._pairer
        while not self._stop.is_set():
            if detector is not self._detector:
                with self._intake:
                    detector, pairer = self._detector, self._pairer
                    retired, self._retired = self._retired, []
                self._close(retired)
            slot = pairer.take(_WAIT_S)
            if slot is None:
                continue
            try:
                self._on_result(self._process(detector, slot), slot)
            except Exception as error:  # one bad frame must not end the thread
                self._on_fault(error)
            finally:
                pairer.release(slot)
        self._close([*self._retired, self._detector])

    def _close(self, detectors: Iterable[StereoDetector]) -> None:
        for detector in detectors:
            try:
                detector.close()
            except Exception as error:  # its memory is lost, the next frame is not
                self._on_fault(ClosingError(f"an engine could not be closed: {type(error).__name__}: {error}"))

    @staticmethod
    def _process(detector: StereoDetector, slot: Slot) -> StereoResult:
        clock = StageClock()
        images: tuple[CameraImage, CameraImage]
        intakes: tuple[_Intake, _Intake]
        images, intakes = zip(*slot.payload, strict=True)
        arrived_ns = max(slot.arrival_ns)
        # Both images are decoded beside each other, and letterboxed one after the other.
        clock.ms["decode"] = max(intake.decode_ms for intake in intakes)
        clock.ms["letterbox"] = sum(intake.written_ns - intake.decoded_ns for intake in intakes) / 1e6
        clock.ms["wait"] = (perf_counter_ns() - max(intake.written_ns for intake in intakes)) / 1e6
        result = detector.process(slot.index, images, arrived_ns, clock, slot.stamp_ns[0])
        clock.ms["total"] = (perf_counter_ns() - arrived_ns) / 1e6
        return result
