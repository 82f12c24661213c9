# SPDX-License-Identifier: Apache-2.0
"""A node that is configured anew, in this process: nothing of the session before reaches into the next."""

import threading

import numpy as np
import pytest
from doubles import TableEngine, rows_of
from harness import blank_image, until, values_of
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Header

from cone_detector.frames import Frame
from cone_detector.node import ConeDetectorNode

WAIT_S = 10
SUCCESS = TransitionCallbackReturn.SUCCESS
EMPTY = np.stack([rows_of(), rows_of()])


class Bench:
    """A node whose engines come from a list, and the executor that the test turns by hand."""

    def __init__(self):
        self.engines = []
        self.wanted = []
        self.may_load = threading.Event()
        self.may_load.set()
        self.node = ConeDetectorNode(self._load)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._stamp_ns = 0

    def _load(self, settings):
        self.wanted.append(settings["engine.runtime"])
        assert self.may_load.wait(WAIT_S)
        return self.engines.pop(0), "because"

    def configure(self, engine):
        self.engines.append(engine)
        return self.node.trigger_configure()

    def offer_pair(self):
        self._stamp_ns += 10**9
        for side in (0, 1):
            self.node._session.pipeline.offer(side, self._stamp_ns, Frame(blank_image()), Header())

    def spin_until(self, found, what):
        def turn():
            self.executor.spin_once(timeout_sec=0.01)
            return found()

        return until(turn, what)


@pytest.fixture
def bench(ros):
    bench = Bench()
    yield bench
    bench.may_load.set()
    bench.node.end()
    bench.executor.shutdown()
    bench.node.destroy_node()


def answering(name="table"):
    engine = TableEngine(lambda name, canvas: EMPTY)
    engine.device = name
    return engine


def failing():
    return TableEngine(lambda name, canvas: None)


def test_a_recovery_ends_with_the_session_that_it_was_for(bench, capfd):
    assert bench.configure(failing()) == SUCCESS
    bench.may_load.clear()
    late, next_one = answering("late"), answering("next")
    bench.engines.append(late)
    bench.offer_pair()
    bench.spin_until(lambda: len(bench.wanted) == 2, "a recovery that loads")
    assert bench.node.trigger_cleanup() == SUCCESS

    bench.may_load.set()
    assert bench.configure(next_one) == SUCCESS
    bench.spin_until(lambda: late.closed, "end of the recovery")
    bench.spin_until(lambda: not bench.node.held_up, "end of all loads")
    for _ in range(20):
        bench.executor.spin_once(timeout_sec=0.01)
    assert bench.wanted == ["auto", "auto", "auto"]
    assert bench.node._session.recovery == ""
    assert not next_one.closed
    assert "no engine can replace" not in capfd.readouterr().err


PARTS = {"inputs": "close", "calibration": "close", "placement": "close", "pipeline": "stop"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_cannot_be_ended_leaves_nothing_of_the_others(bench, capfd, monkeypatch, part):
    before = len(list(bench.node.publishers)), len(list(bench.node.subscriptions))
    engine = answering()
    assert bench.configure(engine) == SUCCESS
    assert bench.node.trigger_activate() == SUCCESS
    real = getattr(getattr(bench.node._session, part), PARTS[part])

    def end_and_complain():
        real()
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(getattr(bench.node._session, part), PARTS[part], end_and_complain)
    assert bench.node.trigger_deactivate() == SUCCESS
    assert bench.node.trigger_cleanup() == SUCCESS
    assert engine.closed
    assert not bench.node._managed_entities
    assert (len(list(bench.node.publishers)), len(list(bench.node.subscriptions))) == before
    assert "RuntimeError: the driver is gone" in capfd.readouterr().err
    assert bench.configure(answering()) == SUCCESS


def test_a_transition_that_fails_half_way_ends_the_session(bench, monkeypatch):
    engine = answering()
    assert bench.configure(engine) == SUCCESS
    assert bench.node.trigger_activate() == SUCCESS

    def refuse(state):
        raise RuntimeError("no publisher")

    monkeypatch.setattr(next(iter(bench.node._managed_entities)), "on_deactivate", refuse)
    assert bench.node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert engine.closed
    assert not bench.node._managed_entities
    assert bench.configure(answering()) == SUCCESS


def test_a_pass_that_hangs_does_not_hold_up_the_clean_up(bench, capfd):
    entered, go_on = threading.Event(), threading.Event()

    def hang(name, canvas):
        entered.set()
        assert go_on.wait(WAIT_S)
        return EMPTY

    engine = TableEngine(hang)
    assert bench.configure(engine) == SUCCESS
    bench.offer_pair()
    assert entered.wait(WAIT_S)
    assert bench.node.trigger_cleanup() == SUCCESS
    assert bench.node.held_up
    assert not engine.closed
    assert "a pass hangs" in capfd.readouterr().err
    assert bench.configure(answering()) == SUCCESS
    go_on.set()
    until(lambda: not bench.node.held_up, "end of the pass")
    assert engine.closed


def test_a_frame_in_work_while_engines_change_is_reported_under_the_one_that_saw_it(bench, rig):
    entered, go_on = threading.Event(), threading.Event()

    def slow(name, canvas):
        old.times.compute_ms = 7.0
        entered.set()
        assert go_on.wait(WAIT_S)
        return EMPTY

    old = TableEngine(slow)
    old.device = "old"
    assert bench.configure(old) == SUCCESS
    assert bench.node.trigger_activate() == SUCCESS
    until(bench.node._session.outputs._latency.get_subscription_count, "a listener")
    bench.offer_pair()
    assert entered.wait(WAIT_S)
    bench.node._session.swap((answering("new"), "because"))
    go_on.set()
    report = rig.until_received("latency", lambda m: values_of(m.status[0])["device"] in ("old", "new")).status[0]
    assert values_of(report)["device"] == "old"
    assert values_of(report)["compute_ms"] == "7.000"
