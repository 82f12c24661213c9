# SPDX-License-Identifier: Apache-2.0
"""Images pair by stamp within the tolerance; memory is bounded; whatever is lost is counted."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cone_detector.pairing import LEFT, RIGHT, Pairer, PairingCounts, images_held, slots_needed

MS = 1_000_000
L, R = LEFT, RIGHT


def feed(pairer: Pairer, *images: tuple[int, float]) -> None:
    for side, stamp_ms in images:
        slot = pairer.place(side, int(stamp_ms * MS), 0, payload=stamp_ms)
        pairer.complete(slot, side)


def drain(pairer: Pairer) -> list[tuple[float, float]]:
    pairs = []
    while (slot := pairer.take(0)) is not None:
        pairs.append((slot.stamp_ns[L] / MS, slot.stamp_ns[R] / MS))
        pairer.release(slot)
    return pairs


@pytest.mark.parametrize(
    ("why", "images", "pairs", "unpaired", "resets"),
    [
        ("left first", [(L, 0), (R, 0)], [(0, 0)], [0, 0], 0),
        ("right first", [(R, 0), (L, 0)], [(0, 0)], [0, 0], 0),
        ("skew within tolerance", [(L, 0), (R, 5)], [(0, 5)], [0, 0], 0),
        ("skew beyond tolerance", [(L, 0), (R, 5.1)], [], [0, 0], 0),
        ("a burst of one side", [(L, 0), (L, 16), (L, 33), (R, 0), (R, 16)], [(0, 0), (16, 16)], [0, 0], 0),
        ("a lost right image", [(L, 0), (L, 16), (R, 16)], [(16, 16)], [1, 0], 0),
        ("a lost left image", [(R, 0), (L, 16), (R, 16)], [(16, 16)], [0, 1], 0),
        ("the nearer partner", [(L, 0), (L, 4), (R, 3)], [(4, 3)], [1, 0], 0),
        ("a bag that loops", [(L, 90), (R, 90), (L, 0), (R, 0)], [(90, 90), (0, 0)], [0, 0], 2),
        ("a loop amid a pair", [(L, 90), (L, 0), (R, 0)], [(0, 0)], [1, 0], 2 - 1),
        ("a loop that one side sees late", [(L, 90), (R, 90), (L, 0), (R, 99), (R, 0)], [(90, 90), (0, 0)], [0, 1], 2),
        ("one camera alone", [(L, t) for t in range(0, 100, 10)], [], [6, 0], 0),
    ],
)
def test_pairing(why, images, pairs, unpaired, resets):
    pairer = Pairer(tolerance_ns=5 * MS, depth=8)
    feed(pairer, *images)
    assert drain(pairer) == pairs
    assert pairer.counts.unpaired == unpaired
    assert pairer.counts.resets == resets
    assert pairer.counts.paired == len(pairs)


@pytest.mark.parametrize(
    ("depth", "kept", "dropped"), [(1, [(40, 40)], 4), (3, [(20, 20), (30, 30), (40, 40)], 2), (5, None, 0)]
)
def test_the_latest_pairs_win_and_drops_are_counted(depth, kept, dropped):
    pairer = Pairer(tolerance_ns=5 * MS, depth=depth)
    feed(pairer, *[(side, t) for t in range(0, 50, 10) for side in (L, R)])
    assert drain(pairer) == (kept or [(t, t) for t in range(0, 50, 10)])
    assert pairer.counts.dropped == dropped


def test_a_pair_in_work_is_never_overwritten():
    pairer = Pairer(tolerance_ns=0)
    feed(pairer, (L, 0), (R, 0))
    busy = pairer.take(0)
    feed(pairer, *[(side, t) for t in range(10, 500, 10) for side in (L, R)])
    feed(pairer, *[(L, t) for t in range(500, 900, 10)])
    assert busy.stamp_ns == [0, 0]
    assert busy.payload == [0, 0]
    pairer.release(busy)


def test_the_nearest_miss_tells_how_far_off_the_tolerance_is():
    pairer = Pairer(tolerance_ns=5 * MS)
    feed(pairer, (L, 0), (R, 8), (L, 33), (R, 40))
    assert pairer.counts.nearest_miss.ns == 7 * MS
    assert drain(pairer) == []


def test_an_unusable_image_leaves_its_partner_waiting():
    pairer = Pairer(tolerance_ns=0)
    feed(pairer, (L, 0))
    pairer.abandon(pairer.place(R, 0, 0), R)
    feed(pairer, (R, 0))
    assert drain(pairer) == [(0, 0)]


def test_released_slots_let_go_of_their_images():
    pairer = Pairer(tolerance_ns=0)
    feed(pairer, (L, 0), (R, 0))
    slot = pairer.take(0)
    pairer.release(slot)
    assert slot.payload == [None, None]


@given(st.lists(st.tuples(st.sampled_from([L, R]), st.integers(0, 40), st.booleans()), max_size=200))
def test_slots_are_neither_lost_nor_shared(events):
    """Whatever arrives, and whenever pairs are taken: every image is accounted for once and slots never run out."""
    pairer = Pairer(tolerance_ns=1, depth=2)
    taken = 0
    for side, stamp, take in events:
        pairer.complete(pairer.place(side, stamp, 0), side)
        if take and (slot := pairer.take(0)) is not None:
            taken += 1
            pairer.release(slot)
    waiting = pairer.retire()
    counts = pairer.counts
    halves = [slot for slot in waiting if not slot.complete]
    pairs = len(waiting) - len(halves)
    assert counts.paired == taken + pairs + counts.dropped
    assert sum(counts.received) == 2 * counts.paired + sum(counts.unpaired) + len(halves)
    assert len(waiting) <= slots_needed(2)
    # One pair may be in work beside these, and one image of each camera on its way in.
    assert sum(slot.filled[L] + slot.filled[R] for slot in waiting) <= images_held(2) - 4


def test_a_retired_pairer_lets_its_consumer_go_at_once():
    pairer = Pairer(0)
    taken = []
    consumer = threading.Thread(target=lambda: taken.append(pairer.take()))
    consumer.start()
    pairer.retire()
    consumer.join(10)
    assert taken == [None]


def test_two_pairers_in_a_row_count_as_one():
    """Of five pairs two are taken to be decoded, one left image of which turns out broken, and one is dropped then."""
    front = PairingCounts(received=[6, 5], paired=5, taken=2, unpaired=[1, 0], dropped=3, skew_ns=4, max_skew_ns=9)
    back = PairingCounts(received=[1, 2], paired=1, unpaired=[0, 1], dropped=1)
    both = back.behind(front)
    assert (both.received, both.paired, both.taken) == ([6, 5], 5, 0)
    assert (both.unpaired, both.dropped, both.undecoded) == ([1, 1], 4, 3)
    assert (both.skew_ns, both.max_skew_ns) == (4, 9)
    front.nearest_miss.note(7)
    assert both.nearest_miss.take() == 7, "what a report takes is taken from the pairer"
    assert back.behind(front).nearest_miss.take() is None
