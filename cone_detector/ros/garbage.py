# SPDX-License-Identifier: Apache-2.0
"""Keeps Python's garbage collector from holding up frames."""

from __future__ import annotations

import gc


def settle_garbage() -> None:
    """Takes all that lives now out of the garbage collector's rounds.

    A full round over what OpenCV, SciPy and ROS have brought in holds all threads up for 40 to 60 ms: three frames.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
