# SPDX-License-Identifier: Apache-2.0
"""What a process that detects sets once, so that nothing of its own holds frames up."""

from __future__ import annotations

import gc

import cv2

# Measured on a host of 16 cores, a GPU's: the letterboxes of a pair take 1.18 ms with 1 thread, 0.54 with 2, 0.30 with
# 4, 0.29 with 8; two images to boxes, the waking of threads included, 1.42 ms with 4, 1.44 with 8, 1.53 with 16.
_MOST_THREADS = 4


def limit_opencv_threads() -> int:
    """Lets OpenCV use at most four threads, more cost more to wake than they save; returns how many it uses.

    A lower number that the environment asks for (OPENCV_FOR_THREADS_NUM) stays.
    """
    cv2.setNumThreads(min(cv2.getNumThreads(), _MOST_THREADS))
    return int(cv2.getNumThreads())


def settle_garbage() -> None:
    """Takes all that lives now out of the garbage collector's rounds.

    A full round over what OpenCV, SciPy and ROS have brought in holds all threads up for 40 to 60 ms: three frames.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
