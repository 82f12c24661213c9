# SPDX-License-Identifier: Apache-2.0
"""The package as pip and colcon install it, and the promises that its files make about one another."""

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cone_detector

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "config" / "requirements"
SCRIPTS = {path.name for path in (ROOT / "cone_detector/resource/lib").iterdir()}
# Python modules of ROS 2 packages whose package has another name.
ROS_MODULES = {"tf2_ros": "tf2_ros_py"}
ROS_PACKAGE = re.compile(r"^(\w+_msgs|\w+_interfaces|rclpy|std_srvs|tf2_ros|launch|launch_ros|ament_index_python)$")


def tracked(pattern="*"):
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def imported(path):
    """The top-level names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def console_scripts():
    return dict(re.findall(r'"([\w-]+) = ([\w.]+:\w+)"', (ROOT / "setup.py").read_text()))


@pytest.fixture(scope="module")
def manifest():
    return ElementTree.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The package installed by pip under a prefix of its own, from a copy: pip builds inside the source tree."""
    copy, prefix = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("prefix")
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.suffix in {".onnx", ".bin", ".mcap"}:
            target.touch()
        else:
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    command = [sys.executable, "-m", "pip", "install", *options, "--prefix", str(prefix), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return prefix


def test_pip_installs_what_ros2_looks_for(prefix):
    share = prefix / "share" / "cone_detector"
    marker = prefix / "share/ament_index/resource_index/packages/cone_detector"
    assert marker.is_file()
    for name in ("package.xml", "launch/stereo.launch.py", "launch/replay.launch.py"):
        assert (share / name).read_bytes() == (ROOT / name).read_bytes()
    for folder in ("config", "engines"):
        committed = {path.name for path in (ROOT / folder).glob("*.*") if path in tracked()}
        assert committed <= {path.name for path in (share / folder).iterdir()}


def test_every_console_script_can_be_run_by_ros2(prefix):
    assert set(console_scripts()) == SCRIPTS
    for name in SCRIPTS:
        assert os.access(prefix / "lib" / "cone_detector" / name, os.X_OK)
        assert os.access(prefix / "bin" / name, os.X_OK)


@pytest.mark.parametrize("name", ["cone-bag", "cone-replay", "cone-monitor"])
def test_an_installed_command_starts_from_its_own_prefix(prefix, name):
    site = next(prefix.glob("l*/python*/*-packages"))
    command = [str(prefix / "lib" / "cone_detector" / name), "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=prefix, env={**os.environ, "PYTHONPATH": str(site)}
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize(("name", "target"), console_scripts().items())
def test_console_script_points_at_a_function(name, target):
    module, function = target.split(":")
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_ros_package_that_is_imported_is_declared(manifest):
    declared = {element.text for element in manifest.iter("exec_depend")}
    used = {name for path in tracked("cone_detector/*.py") + tracked("launch/*.py") for name in imported(path)}
    packages = {ROS_MODULES.get(name, name) for name in used if ROS_PACKAGE.match(name)}
    assert "sensor_msgs" in packages
    assert packages <= declared


def test_one_version_everywhere(manifest):
    setup = re.search(r'version="([\d.]+)"', (ROOT / "setup.py").read_text())
    assert setup is not None
    assert setup[1] == manifest.findtext("version") == cone_detector.__version__


def test_package_xml_names_both_licences_and_their_files(manifest):
    assert manifest.get("format") == "3"
    licences = {element.text: element.get("file") for element in manifest.iter("license")}
    assert licences == {"Apache-2.0": "LICENSE", "AGPL-3.0-only": "offline_tools/LICENSE"}
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in (ROOT / "offline_tools/LICENSE").read_text()


def test_every_source_file_states_its_licence():
    for path in tracked("*.py"):
        expected = "AGPL-3.0-only" if "offline_tools" in path.parts else "Apache-2.0"
        allowed = {expected} | ({"AGPL-3.0-only"} if "offline" in path.parts else set())
        lines = path.read_text().splitlines()[:2]
        stated = [line.split(":", 1)[1].strip() for line in lines if line.startswith("# SPDX-License-Identifier:")]
        assert stated, f"{path}: no SPDX line"
        assert stated[0] in allowed, path


def test_the_runtime_imports_nothing_of_the_offline_tools():
    forbidden = {"torch", "torchvision", "ultralytics", "offline_tools"}
    for path in tracked("cone_detector/*.py"):
        assert not forbidden & set(imported(path)), path


def test_ros_stays_in_the_ros_layer():
    outside = [
        p for p in tracked("cone_detector/*.py") if p.name not in ("node.py", "messages.py") and "ros" not in p.parts
    ]
    for path in outside:
        found = {name for name in imported(path) if ROS_PACKAGE.match(name)} - {"ament_index_python"}
        assert not found, f"{path} imports {found}"


def requirement_lines(name):
    lines = (REQUIREMENTS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


@pytest.mark.parametrize("name", ["ros.txt", "runtime.txt", "engines.txt", "test.txt"])
def test_every_requirement_is_pinned_once_for_each_python(name):
    markers = {}
    for line in requirement_lines("constraints.txt") + requirement_lines("runtime.txt"):
        package, pinned, rest = line.partition("==")
        if pinned:
            markers.setdefault(package, []).append(rest.partition(";")[2].strip())
    for line in requirement_lines(name):
        found = sorted(markers[line.partition("==")[0]])
        assert found in ([""], ['python_version < "3.11"', 'python_version >= "3.11"']), line


def test_the_car_gets_a_setuptools_that_colcon_can_use():
    """colcon build --symlink-install needs `setup.py develop --editable`, which setuptools 80 has dropped."""
    allowed = [Requirement(line) for line in requirement_lines("apt.txt") if line.startswith("setuptools")]
    assert [list(r.specifier.filter(["68.1.2", "79.0.1", "80.0.0", "80.9.0", "81.0.0"])) for r in allowed] == [
        ["68.1.2", "79.0.1"]
    ]


def test_what_the_car_asks_for_agrees_with_the_pins_of_what_it_installs_beside_it():
    """pip is given apt.txt together with engines.txt or test.txt, which pull in constraints.txt."""
    pins = dict(line.partition(";")[0].strip().split("==") for line in requirement_lines("constraints.txt"))
    asked = [Requirement(line) for line in requirement_lines("apt.txt")]
    refused = [str(r) for r in asked if r.name in pins and not r.specifier.contains(pins[r.name])]
    assert not refused, "pip would find nothing that fits"
    assert {"numba", "openvino"} <= {r.name for r in asked} & pins.keys()


def test_the_runtime_installs_nothing_of_torch():
    installed = requirement_lines("ros.txt") + requirement_lines("runtime.txt")
    assert not re.search("torch|ultralytics|onnx|nvidia|tensorrt", " ".join(installed))


def test_fast_dds_profile_holds_several_images_and_keeps_udp():
    space = {"dds": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    root = ElementTree.parse(ROOT / "config/fastdds_shm.xml").getroot()
    transports = {
        element.findtext("dds:transport_id", None, space): element
        for element in root.iterfind(".//dds:transport_descriptor", space)
    }
    memory = transports["shared_memory"]
    assert memory.findtext("dds:type", None, space) == "SHM"
    assert int(memory.findtext("dds:segment_size", "0", space)) >= 16 * 1280 * 720 * 3
    used = [element.text for element in root.iterfind(".//dds:userTransports/dds:transport_id", space)]
    assert used == ["shared_memory", "udp"]
    participant = root.find(".//dds:participant", space)
    assert participant is not None
    assert participant.get("is_default_profile") == "true"
