# SPDX-License-Identifier: Apache-2.0
"""Real nodes on a ROS domain of this test process's own."""

import os
from pathlib import Path

# Before any participant exists: test runs beside each other must not hear each other. 101 is the highest domain whose
# ports lie below Linux' ephemeral ones.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
_PROFILE = str(Path(__file__).resolve().parents[2] / "config" / "fastdds_shm.xml")
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = _PROFILE

import pytest  # noqa: E402
import rclpy  # noqa: E402
from engines import write_engines  # noqa: E402
from harness import Rig  # noqa: E402


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    """A folder with the engines that find painted patches."""
    return write_engines(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="session")
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def rig(ros):
    """The test's side of the topics: cameras that publish, and what the node answers."""
    with Rig() as rig:
        yield rig
