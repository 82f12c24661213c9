# SPDX-License-Identifier: Apache-2.0
"""The interface that is built here is upstream's: two nodes only meet where the hashes of their types agree."""

import json
import shutil
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

from cone_detector.interfaces import build

# Of vision_msgs 4.1.1 and tf2_msgs 0.36 as apt installs them for Jazzy.
UPSTREAM_HASHES = {
    "vision_msgs/msg/Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "tf2_msgs/msg/TFMessage": "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
}


@pytest.mark.ros
@pytest.mark.parametrize("kind", UPSTREAM_HASHES)
def test_a_message_has_the_type_hash_of_upstream(kind):
    package, folder, name = kind.split("/")
    described = json.loads((Path(get_package_share_directory(package)) / folder / f"{name}.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes[kind] == UPSTREAM_HASHES[kind]


@pytest.mark.ros
def test_built_wheels_are_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "make_tools", lambda folder: pytest.fail("they were built again"))
    made = []
    for package in build.PACKAGES:
        made.append(tmp_path / build.cache_key(package) / f"{package}-1.0-cp311-cp311-linux_x86_64.whl")
        made[-1].parent.mkdir()
        made[-1].touch()
    assert build.wheels(build.PACKAGES, tmp_path) == made


@pytest.mark.ros
def test_a_changed_field_list_is_another_wheel(tmp_path, monkeypatch):
    before = build.cache_key("vision_msgs")
    shutil.copytree(build.HERE, tmp_path / "interfaces")
    monkeypatch.setattr(build, "HERE", tmp_path / "interfaces")
    monkeypatch.setattr(build, "PINS", tmp_path / "interfaces" / build.PINS.name)
    monkeypatch.setattr(build, "PACK", tmp_path / "interfaces" / build.PACK.name)
    monkeypatch.setattr(build, "FOREIGN", tmp_path / "interfaces" / build.FOREIGN.name)
    assert build.cache_key("vision_msgs") == before
    (build.HERE / "vision_msgs" / "msg" / "Point2D.msg").write_text("float32 x\nfloat32 y\n")
    assert build.cache_key("vision_msgs") != before


def test_a_missing_compiler_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(build.BuildError, match=r"sudo apt install gcc g\+\+"):
        build.check_machine(build.PACKAGES)


def test_a_machine_with_ros_gets_its_own_package(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    with pytest.raises(build.BuildError, match="sudo apt install ros-jazzy-vision-msgs ros-jazzy-tf2-msgs"):
        build.check_machine(build.PACKAGES)
