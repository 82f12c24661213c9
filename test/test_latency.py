# SPDX-License-Identifier: Apache-2.0
"""Stage times add up, and percentiles speak of the last values only."""

from cone_detector.latency import StageClock, Window


def test_a_stage_entered_twice_adds_up():
    clock = StageClock()
    spent = clock.lap("inference") + clock.lap("inference")
    assert clock.ms == {"inference": spent}


def test_percentiles_are_of_the_window():
    window = Window(size=4)
    for value in (1000, 1, 2, 3, 4):
        window.add({"total": value})
    window.add({"age": 7})
    assert window.percentiles(0, 50, 100) == {"total": (1, 2.5, 4), "age": (7, 7, 7)}


def test_an_empty_window_has_no_names():
    assert Window().percentiles(50) == {}
