# SPDX-License-Identifier: Apache-2.0
"""OpenCV gets as many threads as frames gain from, and never more than it was told to use."""

import cv2
import pytest

from cone_detector.process import limit_opencv_threads


@pytest.mark.parametrize(("before", "after"), [(1, 1), (4, 4), (16, 4)])
def test_threads_are_taken_away_only(before, after):
    usual = cv2.getNumThreads()
    try:
        cv2.setNumThreads(before)
        assert limit_opencv_threads() == after
    finally:
        cv2.setNumThreads(usual)
