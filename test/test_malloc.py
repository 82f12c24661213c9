# SPDX-License-Identifier: Apache-2.0
"""Freed image buffers stay with the process, so that the next images are not page-faulted again."""

import platform
import subprocess
import sys

import pytest

# Page faults of ten rounds of six buffers of an image's size, after a round that warms up.
PROGRAM = """
import resource, sys
if sys.argv[1] == "tuned":
    from cone_detector.ros.malloc import keep_large_buffers
    assert keep_large_buffers()
for n in range(11):
    buffers = [bytearray(b"\\1") * 2_764_800 for _ in range(6)]
    del buffers
    if n == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_tuned_buffers_are_not_page_faulted_again():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)
        for how in ("plain", "tuned")
    }
    # A buffer is 675 pages.
    assert faults["tuned"] < 675
    assert faults["tuned"] <= faults["plain"]


PILE_UP = """
import sys
from pathlib import Path
from cone_detector.ros.malloc import keep_large_buffers, reserve
size = 2_764_800
assert keep_large_buffers()
if sys.argv[1] == "reserved":
    reserve(12 * size)
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])
before = resident()
buffers = [bytearray(b"\\1") * size for _ in range(10)]
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_pile_up_of_images_takes_reserved_memory():
    grown = {
        how: int(subprocess.run([sys.executable, "-c", PILE_UP, how], capture_output=True, check=True).stdout)
        for how in ("plain", "reserved")
    }
    assert grown["plain"] > 9 * 675
    assert grown["reserved"] < 675
