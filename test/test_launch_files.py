# SPDX-License-Identifier: Apache-2.0
"""The launch files in a real launch: what they start, with what, and what they leave to whatever is launched beside."""

import logging
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch comes with apt's ROS 2, there are no wheels of it")

import launch.logging
import launch_ros.actions
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from cone_detector.ros import launching
from cone_detector.ros.arguments import from_text
from cone_detector.settings import SETTINGS

pytestmark = pytest.mark.ros
FOLDER = Path(__file__).resolve().parent.parent / "launch"
STEREO, REPLAY = FOLDER / "stereo.launch.py", FOLDER / "replay.launch.py"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.launch.py")), ids=lambda path: path.name)
def test_a_launch_file_offers_every_setting_with_its_default(path):
    spec = spec_from_file_location("launch_file", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = {a.name: a for a in module.generate_launch_description().get_launch_arguments()}
    for setting in SETTINGS:
        text = "".join(part.text for part in arguments[setting.name].default_value)
        assert from_text(setting, text) == setting.default


class Launched:
    """Nodes that a launch would have started, in order, each with the environment that it would have had."""

    def __init__(self):
        self.nodes = []

    def node(self, **made):
        return OpaqueFunction(function=lambda context: self.nodes.append(made | {"env": dict(context.environment)}))

    def run(self, *included):
        """included: (launch file, arguments) each; then a node of somebody else's."""
        service = LaunchService(noninteractive=True)
        parts = [
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(path)), launch_arguments=arguments.items())
            for path, arguments in included
        ]
        service.include_launch_description(LaunchDescription([*parts, self.node(executable="other")]))
        assert service.run() == 0
        return self.nodes

    @staticmethod
    def changes(node):
        return next((source for source in node["parameters"] if isinstance(source, dict)), {})


@pytest.fixture
def launched(monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    launched = Launched()
    monkeypatch.setattr(launch_ros.actions, "Node", launched.node)
    monkeypatch.setattr(launching, "Node", launched.node)
    return launched


@pytest.fixture
def warnings():
    """What the launch files warn of; launch's loggers do not always reach pytest's own handler."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = launch.logging.get_logger(launching.PACKAGE)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def test_a_second_camera_takes_no_default_of_the_first_for_given(launched):
    front, rear, _ = launched.run((STEREO, {"namespace": "front"}), (STEREO, {"namespace": "rear"}))
    assert [node["namespace"] for node in (front, rear)] == ["front", "rear"]
    assert launched.changes(front) == launched.changes(rear) == {}
    assert [Path(node["parameters"][0]).name for node in (front, rear)] == ["stereo.yaml"] * 2


def test_the_environment_is_the_detectors_alone(launched):
    detector, other = launched.run((STEREO, {}))
    names = {"MALLOC_MMAP_THRESHOLD_", "FASTDDS_DEFAULT_PROFILES_FILE"}
    assert names <= detector["env"].keys()
    assert not names & other["env"].keys()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"confidence": "0.5"}, {"confidence": 0.5}),
        ({"use_sim_time": "true"}, {"use_sim_time": True}),
        ({"use_sim_time": "False", "policy.name": "cascade"}, {"use_sim_time": False, "policy.name": "cascade"}),
        ({"camera_model": "zed2i"}, {}),
    ],
)
def test_what_was_given_reaches_the_node_and_nothing_else(launched, arguments, expected):
    assert launched.changes(launched.run((STEREO, arguments))[0]) == expected


@pytest.mark.parametrize(
    ("name", "meant"), [("confidense", "confidence"), ("policy_name", "policy.name"), ("name_space", "namespace")]
)
def test_a_slip_in_an_arguments_name_is_pointed_out(launched, warnings, name, meant):
    launched.run((STEREO, {name: "1", "camera_model": "zed2i"}))
    assert warnings == [f"argument '{name}' is none of the detector's: did you mean '{meant}'?"]


def test_a_replay_with_the_cars_yaml_listens_to_the_player_and_not_to_the_cameras(launched):
    yaml = str(FOLDER.parent / "config" / "stereo.yaml")
    node, player, _ = launched.run((REPLAY, {"bag": "a_bag", "config": yaml, "topics.left_info": "own/info"}))
    assert node["parameters"][0] == yaml
    changes = launched.changes(node)
    assert (changes["topics.left_image"], changes["input.mode"]) == ("left/image", "pair")
    assert changes["topics.left_info"] == "own/info"
    assert [part for part in player["arguments"] if "topics." in str(part)] == ["topics.left_info=own/info"]


def test_the_player_of_a_replay_gets_what_the_node_got(launched):
    given = {"bag": "a_bag", "input.compressed": "true", "remap": "left/image:=/zed/left", "namespace": "front"}
    node, player, _ = launched.run((REPLAY, given))
    assert launched.changes(node) == {"input.compressed": True}
    assert "input.compressed=true" in player["arguments"]
    for key in ("namespace", "remappings"):
        assert node[key] == player[key]
    assert node["env"] == player["env"]
