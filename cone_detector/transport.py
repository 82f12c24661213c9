# SPDX-License-Identifier: Apache-2.0
"""How Fast DDS is told to send images through shared memory."""

from __future__ import annotations

import os
from pathlib import Path

from cone_detector.paths import shared

# Jazzy reads the first name only, later releases both.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def installed_profile() -> Path:
    """The profile that comes with the package."""
    return shared("config") / "fastdds_shm.xml"


def use_installed_profile() -> None:
    """Gives the profile to this process, unless it was started with one. Before its first ROS node."""
    if not profile_in_use():
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(installed_profile())))


def profile_in_use() -> str:
    """The profile that this process was started with; empty for none."""
    return next((os.environ[name] for name in PROFILE_VARIABLES if os.environ.get(name)), "")
