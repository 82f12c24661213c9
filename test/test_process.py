# SPDX-License-Identifier: Apache-2.0
"""OpenCV gets no more threads than frames gain from, and the garbage collector does not hold frames up."""

import gc
import os
import subprocess
import sys
import weakref

import cv2
import pytest

from cone_detector.process import limit_opencv_threads, settle_garbage


@pytest.mark.parametrize("before", [1, 2, 4, 16])
def test_threads_are_only_taken_away(before):
    usual = cv2.getNumThreads()
    try:
        cv2.setNumThreads(before)
        assert limit_opencv_threads() == cv2.getNumThreads() == min(before, 4)
    finally:
        cv2.setNumThreads(usual)


def test_a_lower_number_that_the_environment_asks_for_stays():
    code = "from cone_detector.process import limit_opencv_threads as limit; print(limit())"
    environment = {**os.environ, "OPENCV_FOR_THREADS_NUM": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout == "1\n"


class _Cycle:
    def __init__(self):
        self.itself = self


def test_a_full_round_no_longer_visits_what_was_there_when_the_node_was_configured():
    there = [[n] for n in range(1000)]
    try:
        settle_garbage()
        visited = {id(thing) for thing in gc.get_objects()}
        assert not visited & {id(thing) for thing in there}
        # Configured again, what has gone meanwhile is collected, cycles too.
        gone = _Cycle()
        settle_garbage()
        watched = weakref.ref(gone)
        del gone
        settle_garbage()
        assert watched() is None
    finally:
        gc.unfreeze()
