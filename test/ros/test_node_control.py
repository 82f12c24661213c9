# SPDX-License-Identifier: Apache-2.0
"""What may be changed while the node runs: parameters, engines, whether it works at all."""

import json
import shutil

import pytest
from engines import write_engines
from harness import NodeProcess, blank_image, boxes_of, painted, values_of

BLUE, YELLOW = 0, 4
BOX, OTHER = (200, 300, 240, 360), (900, 312, 936, 372)


@pytest.fixture(scope="module")
def folder(engines, tmp_path_factory):
    """Engines that a test may spoil."""
    return shutil.copytree(engines, tmp_path_factory.mktemp("own") / "engines")


@pytest.fixture(scope="module")
def node(folder, rig):
    with NodeProcess(**{"engine.directory": folder}) as node:
        rig.meet(node)
        yield node


def seen(rig):
    image = painted((BLUE, BOX), (YELLOW, OTHER))
    left, right = rig.answers(rig.publish_pair(image, image))
    assert boxes_of(left) == boxes_of(right)
    return set(boxes_of(left))


def test_thresholds_change_at_once(node, rig):
    assert seen(rig) == {"blue_cone", "yellow_cone"}
    assert rig.set_parameter("class_confidence.blue_cone", 0.99).successful
    assert seen(rig) == {"yellow_cone"}
    assert rig.set_parameter("confidence", 0.99).successful
    assert seen(rig) == set()
    assert rig.set_parameter("class_confidence.blue_cone", 0.5).successful
    assert seen(rig) == {"blue_cone"}
    for name, value in (("confidence", 0.35), ("class_confidence.blue_cone", 0.0)):
        assert rig.set_parameter(name, value).successful
    assert seen(rig) == {"blue_cone", "yellow_cone"}


@pytest.mark.parametrize(("policy", "passes"), [("fixed_640", "640 (fixed)"), ("fixed_320", "320 (fixed)")])
def test_the_policy_changes_at_once(node, rig, policy, passes):
    assert rig.set_parameter("policy.name", policy).successful
    stamp = rig.publish_pair(blank_image(), blank_image())
    assert values_of(rig.answers(stamp, "latency")[0].status[0])["passes"] == passes


def test_an_output_that_is_switched_off_is_silent(node, rig):
    assert rig.set_parameter("publish.detections", False).successful
    stamp = rig.publish_pair(blank_image(), blank_image())
    rig.answers(stamp, "latency")
    assert rig.set_parameter("publish.detections", True).successful
    rig.answers(rig.publish_pair(blank_image(), blank_image()))
    assert not rig.has("detections/left", stamp)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("confidence", 2.0, "2"),
        ("confidence", "high", "type"),
        ("policy.name", "magic", "must be one of"),
        ("sync.tolerance_ms", 10.0, "read when the node is configured"),
        ("topics.left_image", "elsewhere", "read when the node is configured"),
        ("queue.depth", 3, "read when the node is configured"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_the_reason(node, rig, name, value, reason):
    before = rig.get_parameter(name)
    result = rig.set_parameter(name, value)
    assert not result.successful
    assert reason in result.reason
    assert rig.get_parameter(name) == before


def test_parameters_describe_themselves(node, rig):
    confidence = rig.describe_parameter("confidence")
    (limits,) = confidence.floating_point_range
    assert (limits.from_value, limits.to_value) == (0.01, 1.0)
    assert "score" in confidence.description
    assert confidence.additional_constraints == "takes effect at once"
    (limits,) = rig.describe_parameter("queue.depth").integer_range
    assert (limits.from_value, limits.to_value) == (1, 16)
    assert "one of" in rig.describe_parameter("policy.name").additional_constraints


def test_disabling_discards_images_until_enabled_again(node, rig):
    assert rig.enable(False).success
    stamp = rig.publish_pair(blank_image(), blank_image())
    assert "disabled" in rig.status("node", lambda s: s.level == s.WARN).message
    assert rig.enable(True).success
    rig.answers(rig.publish_pair(blank_image(), blank_image()))
    assert not rig.has("detections/left", stamp)


def test_reload_takes_the_engines_that_are_there_now(node, rig, folder):
    for file in folder.iterdir():
        file.unlink()
    write_engines(folder, "patches2")
    answer = rig.reload()
    assert answer.success
    assert "patches2" in answer.message
    assert seen(rig) == {"blue_cone", "yellow_cone"}
    assert values_of(rig.status("inference"))["engine"] == "patches2"


def test_reload_of_another_folder_needs_no_restart(node, rig, tmp_path):
    write_engines(tmp_path, "patches3")
    assert rig.set_parameter("engine.directory", str(tmp_path)).successful
    assert "patches3" in rig.reload().message
    assert seen(rig) == {"blue_cone", "yellow_cone"}


def test_reload_of_bad_engines_keeps_the_old_ones(node, rig, tmp_path):
    before = values_of(rig.status("inference"))["engine"]
    write_engines(tmp_path, "bad")
    for file in tmp_path.glob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "file_sha256": "0" * 64}))
    assert rig.set_parameter("engine.directory", str(tmp_path)).successful
    answer = rig.reload()
    assert not answer.success
    assert "the old engine stays" in answer.message
    assert "SHA-256" in answer.message
    assert seen(rig) == {"blue_cone", "yellow_cone"}
    assert values_of(rig.status("inference"))["engine"] == before


def test_images_are_answered_while_engines_load(node, rig, engines):
    assert rig.set_parameter("engine.directory", str(engines)).successful
    future = rig.begin_reload()
    stamps = []
    while not future.done():
        stamps.append(rig.publish_pair(blank_image(), blank_image()))
        rig.answers(stamps[-1])
    assert future.result().success
    assert len(stamps) > 1
