# SPDX-License-Identifier: Apache-2.0
"""The interface that is built here is upstream's: two nodes only meet where the hashes of their types agree."""

import json
import shutil
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

from cone_detector.interfaces import build

# Of vision_msgs 4.1.1 as apt installs it for Jazzy.
UPSTREAM_HASH = "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968"


@pytest.mark.ros
def test_detections_have_the_type_hash_of_upstream():
    share = Path(get_package_share_directory("vision_msgs"))
    described = json.loads((share / "msg" / "Detection2DArray.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes["vision_msgs/msg/Detection2DArray"] == UPSTREAM_HASH


@pytest.mark.ros
def test_a_built_wheel_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_wheel", lambda work: pytest.fail("it was built again"))
    wheel = tmp_path / build.cache_key() / "vision_msgs-4.1.1-cp311-cp311-linux_x86_64.whl"
    wheel.parent.mkdir()
    wheel.touch()
    assert build.cached_wheel(tmp_path) == wheel


@pytest.mark.ros
def test_a_changed_field_list_is_another_wheel(tmp_path, monkeypatch):
    before = build.cache_key()
    shutil.copytree(build.HERE, tmp_path / "interfaces")
    monkeypatch.setattr(build, "HERE", tmp_path / "interfaces")
    monkeypatch.setattr(build, "SOURCE", tmp_path / "interfaces" / "vision_msgs")
    monkeypatch.setattr(build, "PINS", tmp_path / "interfaces" / build.PINS.name)
    monkeypatch.setattr(build, "PACK", tmp_path / "interfaces" / build.PACK.name)
    assert build.cache_key() == before
    (build.SOURCE / "msg" / "Point2D.msg").write_text("float32 x\nfloat32 y\n")
    assert build.cache_key() != before


def test_a_missing_compiler_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(build.BuildError, match=r"sudo apt install gcc g\+\+"):
        build.check_machine()


def test_a_machine_with_ros_gets_its_own_package(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    with pytest.raises(build.BuildError, match="sudo apt install ros-jazzy-vision-msgs"):
        build.check_machine()
