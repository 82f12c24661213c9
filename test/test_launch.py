# SPDX-License-Identifier: Apache-2.0
"""Launch arguments: every default from the settings, every value checked, what was not given not passed on."""

import ast
from pathlib import Path

import pytest

from cone_detector.ros.arguments import describe, from_text, overrides, remappings, to_text
from cone_detector.settings import BY_NAME, SETTINGS, SettingError

ROOT = Path(__file__).resolve().parent.parent
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_survives_being_an_argument(setting):
    assert from_text(setting, to_text(setting.default)) == setting.default
    assert setting.doc in describe(setting)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("confidence", "0.5", 0.5),
        ("confidence", "1", 1.0),
        ("policy.max_disagreement", "4", 4),
        ("publish.cones", "False", False),
        ("publish.cones", "true", True),
        ("topics.left_image", "/zed/left", "/zed/left"),
    ],
)
def test_text_becomes_a_value_of_the_settings_type(name, text, expected):
    value = overrides({name: text})[name]
    assert value == expected
    assert type(value) is type(BY_NAME[name].default)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("confidence", "high", "confidence is 'high', must be float"),
        ("confidence", "7", "confidence is 7.0, must lie in"),
        ("publish.cones", "yes", "publish.cones is 'yes', must be bool"),
        ("policy.name", "magic", "policy.name is 'magic', must be one of"),
        ("queue.depth", "1.5", "queue.depth is '1.5', must be int"),
    ],
)
def test_a_wrong_value_is_named(name, text, complaint):
    with pytest.raises(SettingError, match=complaint):
        overrides({name: text})


def test_remappings():
    assert remappings("") == []
    assert remappings("a:=/b  c/d:=e") == [("a", "/b"), ("c/d", "e")]
    for wrong in ("a", "a:=", ":=b", "a:=b:=c", "a=b"):
        with pytest.raises(SettingError, match="must be from:=to"):
            remappings(wrong)


def declared_arguments(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "DeclareLaunchArgument"]


@pytest.mark.parametrize("path", [*LAUNCH_FILES, ROOT / "cone_detector/ros/launching.py"], ids=lambda path: path.name)
def test_no_launch_file_writes_a_default_of_a_setting(path):
    for call in declared_arguments(path):
        name = call.args[0]
        if isinstance(name, ast.Constant):
            assert name.value not in BY_NAME
        if ast.unparse(name) == "setting.name":
            default = next(keyword.value for keyword in call.keywords if keyword.arg == "default_value")
            assert ast.unparse(default) == "to_text(setting.default)"
