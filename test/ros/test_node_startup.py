# SPDX-License-Identifier: Apache-2.0
"""How the node starts and ends: one clear message for what is wrong, and a clean end for every signal."""

import json
import shutil
import signal

import pytest
from harness import NodeProcess, blank_image, until, values_of


def without_engines(folder):
    for file in folder.iterdir():
        file.unlink()


def truncate_network(folder):
    network = folder / "patches-640.bin"
    network.write_bytes(network.read_bytes()[:-100])


def remove_network(folder):
    (folder / "patches-640.xml").unlink()


def edit_manifest(**fields):
    def edit(folder):
        for file in folder.glob("*.json"):
            file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

    return edit


def forge_network(folder):
    """A network that is none, with a manifest that vouches for it."""
    from cone_detector.engine.manifest import file_sha256

    network = folder / "patches-640.xml"
    network.write_text("<net/>")
    file = folder / "patches-640.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "file_sha256": file_sha256(network)}))


ENGINE_FAULTS = {
    "no engine at all": (without_engines, "no engine in", "make engines"),
    "truncated": (truncate_network, "has SHA-256", "take it from the repository again"),
    "missing file": (remove_network, "patches-640.xml is missing", "take it from the repository again"),
    "not a network": (forge_network, "OpenVINO cannot run", "patches-640.xml"),
    "classes in another order": (edit_manifest(classes=["a"]), "classes are ['a']", "must be ['blue_cone'"),
    "older schema": (edit_manifest(schema=0), "schema is 0", "make engines"),
    "unknown field": (edit_manifest(colour="red"), "unknown fields: colour", "patches-320.json"),
    "for TensorRT's Q/DQ": (edit_manifest(qdq=True), "no engine in", "make engines"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_working_node_cleanly(engines, rig, number):
    with NodeProcess(**{"engine.directory": engines}) as node:
        rig.meet(node)
        rig.publish_pair(blank_image(), blank_image())
        assert node.stop(number) == 0
        assert "Traceback" not in node.log


def test_a_signal_while_engines_load_ends_the_node_cleanly(engines, rig):
    before = rig.node.count_publishers("/diagnostics")
    with NodeProcess(**{"engine.directory": engines}) as node:
        until(lambda: rig.node.count_publishers("/diagnostics") > before, "a node that has begun to start")
        assert node.stop(signal.SIGTERM) == 0
        assert "FATAL" not in node.log


def test_a_signal_while_engines_reload_ends_the_node_cleanly(engines, rig):
    with NodeProcess(**{"engine.directory": engines}) as node:
        node.wait_for_log("engine:")
        rig.begin_reload()
        assert node.stop() == 0
        assert "Traceback" not in node.log


def test_a_second_signal_does_not_cut_the_end_short(engines):
    """launch sends SIGINT to the process group and then to each process."""
    with NodeProcess(**{"engine.directory": engines}) as node:
        node.wait_for_log("engine:")
        node.process.send_signal(signal.SIGINT)
        assert node.stop(signal.SIGINT) == 0


def test_a_misspelt_parameter_is_named_and_a_whole_number_is_taken_for_a_real_one(rig):
    qos = "qos_overrides./cones.publisher.reliability"
    with NodeProcess(**{"autostart": False, "confidense": 0.5, "confidence": 1, qos: "best_effort"}) as node:
        assert rig.get_parameter("confidence").double_value == 1.0
        expected = "parameter 'confidense' is none of this node's and is ignored: did you mean 'confidence'?"
        assert expected in node.log
        assert f"parameter '{qos}' is none of this node's and is ignored" in node.log


def test_a_managed_node_goes_through_its_states_and_survives_a_bad_start(engines, rig, tmp_path):
    with NodeProcess(**{"autostart": False, "engine.directory": tmp_path}) as node:
        assert rig.state() == "unconfigured"
        assert rig.transition("configure") is False
        assert rig.state() == "unconfigured"
        status = rig.status("node")
        assert status.level == status.ERROR
        assert f"no engine in {tmp_path}" in status.message

        assert rig.set_parameter("engine.directory", str(engines)).successful
        # What is read at configure may change before it, too.
        assert rig.set_parameter("sync.tolerance_ms", 10.0).successful
        assert rig.transition("configure")
        assert rig.state() == "inactive"
        assert "configure and activate" in rig.status("node").message
        assert not rig.set_parameter("sync.tolerance_ms", 5.0).successful

        assert rig.transition("activate")
        rig.meet(node)
        assert rig.status("node").message == "active"

        assert rig.transition("deactivate")
        rig.status("input", lambda s: s.message == "not active")
        rig.publish_pair(blank_image(), blank_image())
        assert values_of(rig.status("input"))["rate left/image (Hz)"] == "0.000"

        assert rig.transition("activate")
        rig.meet(node)
        assert rig.transition("deactivate")
        assert rig.transition("cleanup")
        assert rig.state() == "unconfigured"

        assert rig.transition("configure")
        assert rig.transition("activate")
        rig.meet(node)
        assert rig.transition("active_shutdown")
        assert rig.state() == "finalized"
        assert node.stop() == 0


@pytest.fixture(scope="module")
def unmanaged(engines, rig):
    """A node that waits to be configured."""
    with NodeProcess(**{"autostart": False, "engine.directory": engines}) as node:
        yield node


def refusal(node, rig):
    """The one line that says why the node cannot be configured."""
    before = len(node.log)
    assert rig.transition("configure") is False
    assert rig.state() == "unconfigured"
    log = node.log[before:]
    assert "Traceback" not in log
    (line,) = [line for line in log.splitlines() if "FATAL" in line]
    return line


@pytest.mark.parametrize("fault", ENGINE_FAULTS)
def test_a_fault_of_the_engine_stops_configure_with_one_message(unmanaged, rig, engines, tmp_path, fault):
    spoil, *expected = ENGINE_FAULTS[fault]
    folder = shutil.copytree(engines, tmp_path / "engines")
    spoil(folder)
    assert rig.set_parameter("engine.directory", str(folder)).successful
    line = refusal(unmanaged, rig)
    for text in expected:
        assert text in line


NAMED_MANIFESTS = {
    "half of a pair": ({"engine.manifest_320": "a.json"}, "engine.manifest_320 and engine.manifest_640 go together"),
    "none there": ({"engine.manifest_320": "a.json", "engine.manifest_640": "b.json"}, "no manifest at a.json"),
}


@pytest.mark.parametrize("fault", NAMED_MANIFESTS)
def test_named_manifests_must_be_there(unmanaged, rig, fault):
    parameters, expected = NAMED_MANIFESTS[fault]
    for name, value in parameters.items():
        assert rig.set_parameter(name, value).successful
    assert expected in refusal(unmanaged, rig)
    for name in parameters:
        assert rig.set_parameter(name, "").successful


def test_a_node_that_starts_by_itself_ends_where_it_cannot(tmp_path):
    with NodeProcess(**{"engine.directory": tmp_path}) as node:
        assert node.wait() == 1
        (line,) = [line for line in node.log.splitlines() if "FATAL" in line]
        assert "Traceback" not in node.log
    assert f"no engine in {tmp_path}" in line


@pytest.mark.parametrize("text", [None, "broken: ["], ids=["missing", "broken"])
def test_a_parameter_file_that_cannot_be_read_is_named(tmp_path, text):
    file = tmp_path / "car.yaml"
    if text is not None:
        file.write_text(text)
    with NodeProcess(("-m", "cone_detector.node", "--ros-args", "--params-file", str(file))) as node:
        assert node.wait() == 1
        assert "Traceback" not in node.log
        assert (
            f"cone_detector cannot start: failed to initialize rcl: Couldn't parse params file: '--params-file {file}'"
            in node.log
        )


PARAMETER_FAULTS = {
    "out of range": ({"confidence": 1.5}, "confidence is 1.5, must lie in 0.01 to 1"),
    "no such choice": ({"policy.name": "magic"}, "policy.name is 'magic', must be one of"),
    "wrong type": ({"confidence": "high"}, "confidence is 'high', must be float"),
}


@pytest.mark.parametrize("fault", PARAMETER_FAULTS)
def test_a_fault_of_a_parameter_ends_the_node_with_one_message(fault):
    parameters, expected = PARAMETER_FAULTS[fault]
    with NodeProcess(**parameters) as node:
        assert node.wait() == 1
        (line,) = [line for line in node.log.splitlines() if "FATAL" in line]
        assert "Traceback" not in node.log
    assert expected in line
