# SPDX-License-Identifier: Apache-2.0
"""Tells glibc's allocator to keep the memory of camera images instead of returning it after each one."""

from __future__ import annotations

import ctypes
import sys

import numpy as np

# Parameters of mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
# One arena: an image freed by the inference thread is there for the middleware's next one, too.
_LIMITS = {_M_MMAP_THRESHOLD: 1 << 30, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20, _M_ARENA_MAX: 1}

# The same for a process that is yet to start, as a camera driver; see mallopt(3).
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(_LIMITS[_M_MMAP_THRESHOLD]),
    "MALLOC_TRIM_THRESHOLD_": str(_LIMITS[_M_TRIM_THRESHOLD]),
    "MALLOC_TOP_PAD_": str(_LIMITS[_M_TOP_PAD]),
    "MALLOC_ARENA_MAX": str(_LIMITS[_M_ARENA_MAX]),
}


def keep_large_buffers() -> bool:
    """Raises malloc's thresholds above any image's size; False where the C library has no mallopt (not glibc).

    By default each buffer of a 2.7 MB image is mapped afresh and page-faulted: several milliseconds a stereo pair.
    Call it before the first image is allocated.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    accepted = [mallopt(name, value) for name, value in _LIMITS.items()]
    return all(accepted)


def reserve(size: int) -> None:
    """Touches `size` bytes that malloc will hand out later, after `keep_large_buffers`.

    Memory that a pile-up of images needs is then there beforehand: neither page-faulted amid the pile-up nor, to who
    watches the process over hours, a leak. Takes about a millisecond for a megabyte.
    """
    np.empty(size, np.uint8).fill(0)
