# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured on, and with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "numpy",
    "numba",
    "opencv-python-headless",
    "opencv-python",
    "openvino",
    "tensorrt",
    "rosbags",
    "ros-jazzy-rclpy",
    "ros-jazzy-rmw-fastrtps-cpp",
    "ros-fastrtps",
)


def machine() -> dict[str, str | int | float]:
    """CPU, memory, GPU where there is one, kernel and load of this machine."""
    found: dict[str, str | int | float] = {
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average_1min": round(os.getloadavg()[0], 2),
    }
    if gpu := _gpu_name():
        found["gpu"] = gpu
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter for time, those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if commit := _commit():
        found["cone_detector"] = commit
    return found


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu_name() -> str:
    """Name and driver of each kind of GPU."""
    lines = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines()
    return "; ".join(dict.fromkeys(lines))


def _commit() -> str:
    """The commit that runs, with a plus sign where files differ from it; empty outside a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    commit = _output("git", "-C", root, "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", root, "status", "--porcelain", "--untracked-files=no", "cone_detector")
    return commit + "+" if commit and changed else commit


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
