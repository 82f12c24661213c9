# SPDX-License-Identifier: Apache-2.0
"""Faults and losses are counted; loss between camera and node is told from stamps alone, where they can tell it."""

import numpy as np
import pytest

from cone_detector.ros.statistics import Statistics, StreamWatch, lost_share

PERIOD = 16_666_667


def stamps(kept, jitter=0.0, seed=0):
    """Camera stamps of those frames that `kept` says arrived, with jitter in periods."""
    frames = np.flatnonzero(kept) + jitter * np.random.default_rng(seed).normal(size=np.count_nonzero(kept))
    return (frames * PERIOD).astype(np.int64).tolist()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_random_loss_is_measured(share, jitter):
    rng = np.random.default_rng(1)
    kept = rng.random(600) >= share
    expected = 1 - kept[kept.argmax() : 600 - kept[::-1].argmax()].mean()
    assert lost_share(stamps(kept, jitter)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    "sequence",
    [
        [],
        stamps(np.arange(20) % 3 == 0),
        stamps(np.r_[np.ones(40), np.zeros(500), np.ones(40)] > 0),
        np.cumsum(np.random.default_rng(2).exponential(PERIOD, 200)).astype(np.int64).tolist(),
        [0] * 50,
    ],
    ids=["none", "too few", "a camera that paused", "no fixed rate", "no stamps at all"],
)
def test_no_loss_is_claimed_where_it_cannot_be_told(sequence):
    assert lost_share(sequence) == 0.0


def test_a_stream_begins_anew_when_stamps_jump_back():
    watch = StreamWatch()
    for stamp in [*stamps(np.arange(100) % 2 == 0), *stamps(np.ones(60) > 0)]:
        watch.note(stamp, 10)
    assert watch.lost_share() == 0.0
    assert (watch.total, watch.bytes) == (110, 10)


def test_each_kind_of_fault_is_due_for_the_log_once_in_five_seconds():
    now = 100.0
    statistics = Statistics(lambda: now)
    due = []
    for now, kind in ((100.0, "image left"), (100.1, "frame"), (104.9, "image left"), (105.0, "image left")):
        due.append(statistics.add_fault(kind, f"at {now}"))
    assert due == [True, True, False, True]
    assert (statistics.faults["image left"].count, statistics.faults["image left"].last) == (3, "at 105.0")
