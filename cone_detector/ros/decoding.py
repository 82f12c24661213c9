# SPDX-License-Identifier: Apache-2.0
"""Decodes compressed images pair by pair: neither camera gets ahead of the other, whatever the load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from sensor_msgs.msg import CompressedImage

from cone_detector.pairing import Pairer, PairingCounts


class Decoding:
    """Pairs messages by stamp and has both of a pair decoded at once, in threads of its own: it takes milliseconds.

    Where pairs come faster than they are decoded, the newest waits and replaces the one that waited. Were the images
    of each camera dropped on their own, those left of one would have lost their partners among those of the other.
    """

    def __init__(
        self, decode: Callable[[int, int, CompressedImage], None], tolerance_ns: int, counts: PairingCounts
    ) -> None:
        """decode: gets side, perf_counter_ns at arrival, and message; must not raise. counts: to go on with."""
        self._decode = decode
        self._pairer = Pairer(tolerance_ns)
        self._pairer.counts = counts
        self._decoders = ThreadPoolExecutor(2, "decoder")
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def put(self, side: int, stamp_ns: int, arrival_ns: int, message: CompressedImage | None) -> None:
        """Hands over one camera's message; returns at once. None: this side lies in the other one's message."""
        slot = self._pairer.place(side, stamp_ns, arrival_ns, message)
        self._pairer.complete(slot, side)

    def stop(self) -> None:
        """Ends the threads after the pair in work; those that wait are dropped."""
        self._pairer.retire()
        self._thread.join()
        self._decoders.shutdown()

    def _run(self) -> None:
        while (slot := self._pairer.take()) is not None:
            wait(
                [
                    self._decoders.submit(self._decode, side, slot.arrival_ns[side], message)
                    for side, message in enumerate(slot.payload)
                    if message is not None
                ]
            )
            self._pairer.release(slot)
