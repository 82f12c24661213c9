# SPDX-License-Identifier: Apache-2.0
"""docs/reference.md says what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.ros
def test_the_committed_reference_is_current():
    # In a process of its own: it starts and ends ROS.
    command = [sys.executable, "-m", "cone_detector.ros.reference"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert written.returncode == 0, written.stderr
    assert (ROOT / "docs/reference.md").read_text() == written.stdout, (
        f"run: {' '.join(command[1:])} > docs/reference.md"
    )
