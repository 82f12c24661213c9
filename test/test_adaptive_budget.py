# SPDX-License-Identifier: Apache-2.0
"""A pass runs only where it nearly surely ends before the deadline; cones are followed from frame to frame."""

import numpy as np
import pytest
from doubles import rows_of

from cone_detector.adaptive import Budget
from cone_detector.adaptive.motion import Motion

PIXELS = {"320": 100, "640": 400, "band": 100}


class Clock:
    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> int:
        return int(self.ms * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def steady(clock: Clock, ms: float) -> Budget:
    budget = Budget(PIXELS, clock)
    for _ in range(60):
        budget.begin(0, 0.0)
        budget.note("640", ms)
    return budget


@pytest.mark.parametrize(("now", "fits"), [(0, True), (5, True), (7, False), (30, False)])
def test_a_pass_fits_by_what_it_usually_takes(clock, now, fits):
    budget = steady(clock, 10.0)
    budget.begin(0, 16.0)
    clock.ms = now
    assert budget.fits("640") == fits


def test_without_a_deadline_every_pass_fits(clock):
    budget = steady(clock, 1000.0)
    budget.begin(0, 0.0)
    clock.ms = 1e6
    assert budget.fits("640")


def test_a_pass_of_varying_length_must_fit_at_its_longest(clock):
    budget = Budget(PIXELS, clock)
    for i in range(200):
        budget.begin(0, 0.0)
        budget.note("640", 8.0 if i % 2 else 12.0)
    budget.begin(0, 0.0)
    assert budget.expected_ms("640") > 12.0


def test_a_pass_that_never_ran_is_judged_by_its_pixels(clock):
    budget = Budget(PIXELS, clock)
    assert budget.expected_ms("640") == 0.0
    for _ in range(60):
        budget.begin(0, 0.0)
        budget.note("320", 5.0)
    assert budget.expected_ms("640") == pytest.approx(20.0, rel=0.1)
    assert budget.expected_ms("band") == pytest.approx(5.0, rel=0.1)


def test_one_stall_does_not_forbid_a_pass_for_good(clock):
    budget = steady(clock, 10.0)
    budget.note("640", 500.0)
    refusals = 0
    budget.begin(0, 20.0)
    while not budget.fits("640"):
        refusals += 1
        assert refusals < 1000
    assert refusals > 0


@pytest.mark.parametrize(("first", "fits"), [(4.0, True), (8.0, True), (12.0, False)])
def test_a_frame_whose_first_pass_was_slow_gets_a_second_one_only_if_that_may_be_slow_too(clock, first, fits):
    budget = Budget(PIXELS, clock)
    for slow in [1.0, 2.0] * 60:
        budget.begin(0, 0.0)
        budget.note("320", 4.0 * slow)
        budget.note("640", 10.0 * slow)
    clock.ms = 0.0
    budget.begin(0, 30.0)
    budget.note("320", first)
    clock.ms = first
    assert budget.fits("640") == fits


def test_the_deadline_counts_from_the_pairs_arrival(clock):
    budget = steady(clock, 10.0)
    clock.ms = 100.0
    budget.begin(int(92e6), 16.0)
    assert not budget.fits("640")


def box(x: float, height: float) -> np.ndarray:
    return rows_of((x, 100, x + 20, 100 + height, 0.9, 0))[:1]


NOTHING_HIDDEN = np.zeros(1, bool)


def test_a_box_is_expected_where_its_motion_takes_it():
    motion = Motion()
    for i in range(12):
        motion.update(box(100 + 4 * i, 20 + i), np.zeros(min(i, 1), bool))
    np.testing.assert_allclose(motion.predict()[0, :4], [148, 100, 168, 132], atol=0.1)


def test_a_cone_that_no_pass_could_see_is_believed_in_for_a_while():
    motion = Motion()
    motion.update(box(100, 12), np.zeros(0, bool))
    frames = 0
    while len(motion.predict()):
        motion.update(np.empty((0, 6), np.float32), np.ones(1, bool))
        frames += 1
        assert frames < 100
    assert frames > 10


def test_a_cone_that_should_have_been_seen_and_was_not_is_gone():
    motion = Motion()
    motion.update(box(100, 12), np.zeros(0, bool))
    motion.update(np.empty((0, 6), np.float32), NOTHING_HIDDEN)
    assert len(motion.predict()) == 0
