# SPDX-License-Identifier: Apache-2.0
"""Both images of a pair are decoded together or not at all, and every pair that was passed over is counted."""

import threading

import pytest

from cone_detector.pairing import PairingCounts
from cone_detector.ros.decoding import Decoding

WAIT_S = 10
FIRST, LAST = 10, 50


class Decoder:
    """Notes what it is to decode; both images of the first pair take until the test says `go_on`."""

    def __init__(self):
        self.done = ([], [])
        self.both_at_work, self.go_on = threading.Barrier(3), threading.Event()
        self.finished = threading.Semaphore(0)

    def __call__(self, side, arrival_ns, message):
        if message == FIRST:
            self.both_at_work.wait(WAIT_S)
            assert self.go_on.wait(WAIT_S)
        self.done[side].append((message, arrival_ns))
        if message == LAST:
            self.finished.release()


ORDERS = {
    "in step": [(side, stamp) for stamp in (20, 30, 40, LAST) for side in (0, 1)],
    "the right ones late": [(side, stamp) for side in (0, 1) for stamp in (20, 30, 40, LAST)],
    "the left ones late": [(side, stamp) for side in (1, 0) for stamp in (20, 30, 40, LAST)],
}


@pytest.mark.parametrize("order", ORDERS)
def test_while_a_pair_is_decoded_the_newest_of_those_that_come_waits(order):
    decoder, counts = Decoder(), PairingCounts()
    decoding = Decoding(decoder, 5, counts)
    for side, stamp in [(0, FIRST), (1, FIRST)]:
        decoding.put(side, stamp, stamp + 1000, stamp)
    decoder.both_at_work.wait(WAIT_S)
    for side, stamp in ORDERS[order]:
        decoding.put(side, stamp, stamp + 1000, stamp)
    decoder.go_on.set()
    for _ in decoder.done:
        assert decoder.finished.acquire(timeout=WAIT_S)
    decoding.stop()
    assert decoder.done == ([(FIRST, 1010), (LAST, 1050)],) * 2
    assert (counts.paired, counts.dropped, counts.unpaired) == (5, 3, [0, 0])


def test_a_message_that_holds_both_images_is_decoded_once():
    decoder = Decoder()
    decoding = Decoding(decoder, 0, PairingCounts())
    for side, message in ((0, LAST), (1, None)):
        decoding.put(side, 1, 2, message)
    assert decoder.finished.acquire(timeout=WAIT_S)
    decoding.stop()
    assert decoder.done == ([(LAST, 2)], [])


def test_stop_waits_for_the_pair_in_work_and_drops_the_rest():
    decoder = Decoder()
    decoding = Decoding(decoder, 0, PairingCounts())
    for stamp in (FIRST, LAST):
        for side in (0, 1):
            decoding.put(side, stamp, 0, stamp)
        if stamp == FIRST:
            decoder.both_at_work.wait(WAIT_S)
    stopping = threading.Thread(target=decoding.stop)
    stopping.start()
    while not decoding._pairer._retired:
        pass
    decoder.go_on.set()
    stopping.join(WAIT_S)
    assert decoder.done == ([(FIRST, 0)],) * 2
