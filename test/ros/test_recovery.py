# SPDX-License-Identifier: Apache-2.0
"""An engine that fails in service is made anew, or replaced by one on the CPU, and /diagnostics says so."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import NodeProcess, blank_image, until, values_of
from rclpy.task import Future

from cone_detector.engine.contract import EngineError
from cone_detector.ros.recovery import Recovery, SessionEndedError
from cone_detector.settings import Settings

NODE = str(Path(__file__).with_name("failing_node.py"))


class Desk:
    """Drives one Recovery: loads that work or fail, and a clock."""

    def __init__(self, broken=()):
        self.broken = broken
        self.woken = 0
        self.now = 0.0
        self.loads = []
        self.used = []
        self.ended = False
        self.recovery = Recovery(self._wake, lambda: self.now)

    def _wake(self):
        self.woken += 1

    def _begin(self, settings):
        runtime = settings["engine.runtime"]
        self.loads.append(runtime)
        future = Future()
        if runtime in self.broken:
            future.set_exception(EngineError(f"{runtime} is broken"))
        else:
            future.set_result((SimpleNamespace(device=f"device of {runtime}"), f"{runtime} engine"))
        return future

    def _use(self, loaded):
        if self.ended:
            raise SessionEndedError
        self.used.append(loaded)

    def fail(self):
        self.recovery.note(EngineError("it burns"))

    def run(self, **settings):
        work = self.recovery.run(
            Settings({k.replace("__", "."): v for k, v in settings.items()}), self._begin, self._use
        )
        with pytest.raises(StopIteration) as end:
            work.send(None)
        return end.value.value


def test_a_failed_engine_is_made_anew():
    desk = Desk()
    desk.fail()
    assert desk.run() == "went on with auto engine, on device of auto, after: it burns"
    assert (desk.woken, desk.loads, len(desk.used)) == (1, ["auto"], 1)


def test_many_failed_frames_are_one_recovery():
    desk = Desk()
    for _ in range(5):
        desk.fail()
    assert desk.woken == 1


def test_where_the_gpu_is_lost_the_cpu_goes_on():
    desk = Desk(broken=("auto",))
    desk.fail()
    assert desk.run() == "went on with openvino engine, on device of openvino, after: it burns"
    assert desk.loads == ["auto", "openvino"]


def test_an_engine_that_fails_again_soon_is_not_made_a_third_time():
    desk = Desk()
    desk.fail()
    desk.run()
    desk.now = 10.0
    desk.fail()
    desk.run()
    assert desk.loads == ["auto", "openvino"]
    desk.now = 1000.0
    desk.fail()
    desk.run()
    assert desk.loads == ["auto", "openvino", "auto"]


def test_the_frame_in_work_while_engines_change_starts_no_other_recovery():
    desk = Desk()
    desk.fail()
    desk.run()
    desk.fail()
    assert desk.woken == 1


@pytest.mark.parametrize("explicit", [{"engine__runtime": "tensorrt"}, {"engine__manifest_640": "a.json"}])
def test_who_names_a_runtime_gets_no_other(explicit):
    desk = Desk(broken=("tensorrt", "auto"))
    desk.fail()
    outcome = desk.run(**explicit)
    assert "is broken; restart the node" in outcome
    assert "openvino" not in desk.loads


def test_without_any_engine_it_rests_before_it_tries_again():
    desk = Desk(broken=("auto", "openvino"))
    desk.fail()
    assert "no engine can replace the one that failed (it burns): auto is broken; openvino is broken" in desk.run()
    desk.now = 5.0
    desk.fail()
    assert desk.woken == 1
    desk.now = 20.0
    desk.fail()
    assert desk.woken == 2


def test_a_session_that_ended_meanwhile_is_not_recovered_and_the_next_one_is_at_once():
    desk = Desk()
    desk.fail()
    desk.ended = True
    assert desk.run() == ""
    assert desk.loads == ["auto"]
    desk.ended = False
    desk.fail()
    assert desk.woken == 2


@pytest.mark.parametrize("kind", ["once", "lost"])
def test_the_node_goes_on_with_another_engine_and_reports_it(engines, rig, kind):
    with NodeProcess((NODE, kind), **{"engine.directory": engines}) as node:
        rig.meet(node)
        blank = blank_image()

        def send():
            rig.publish_pair(blank, blank)

        status = rig.status_while(send, "inference", lambda s: "went on with" in s.message)
        assert status.level == status.WARN
        assert "after: pass 640 failed on the GPU" in values_of(status)["recovery"]
        assert int(values_of(status)["faults frame"]) > 0
        rig.until_answered(lambda: rig.publish_pair(blank, blank), "detections/left", "detections/right")
        assert "went on with openvino" in node.log


def test_an_engine_that_cannot_be_opened_at_the_start_leaves_the_cpu_to_drive(engines, rig):
    with NodeProcess((NODE, "full"), **{"engine.directory": engines}) as node:
        rig.meet(node)
        status = rig.status("inference", lambda s: s.message.startswith("started with openvino"))
        assert status.level == status.WARN
        assert "after: 640.plan cannot start: most often the GPU's memory is full" in status.message


def test_who_names_files_is_told_that_they_cannot_be_opened(engines):
    named = {f"engine.manifest_{name}": engines / f"{name}.json" for name in ("320", "640")}
    with NodeProcess((NODE, "full"), **named) as node:
        assert node.wait() == 1
        assert "cannot start: 640.plan cannot start" in node.log


def test_a_pass_that_hangs_does_not_hold_up_the_end_of_the_node(engines, rig):
    with NodeProcess((NODE, "hang"), **{"engine.directory": engines}) as node:
        rig.meet(node)
        blank = blank_image()

        def hangs():
            rig.publish_pair(blank, blank)
            return "from here on it hangs" in node.log

        until(hangs, "a pass that hangs")
        status = rig.status_while(hangs, "inference", lambda s: s.message.startswith("no frame finished in "))
        assert status.level == status.ERROR
        assert node.stop() == 0
        assert "a pass hangs" in node.log
