# SPDX-License-Identifier: Apache-2.0
"""Engines load in a thread: who waits gets them, or why not, and need not wait once ROS stops."""

import threading

import pytest
from harness import until

from cone_detector.engine.contract import EngineError
from cone_detector.ros.loading import EngineLoading, StoppedError
from cone_detector.settings import Settings

WAIT_S = 10
LOADED = ("an engine", "because")


def always():
    return True


def test_what_was_loaded_comes_back_and_wakes_the_executor():
    awake = threading.Event()
    loading = EngineLoading(lambda settings: LOADED, awake.set)
    assert loading.load(Settings(), always) == LOADED
    assert awake.wait(WAIT_S)


def test_a_failure_comes_back_as_it_was_raised():
    def load(settings):
        raise EngineError("no GPU")

    with pytest.raises(EngineError, match="no GPU"):
        EngineLoading(load, lambda: None).load(Settings(), always)


def test_nobody_waits_once_ros_stops():
    go_on = threading.Event()

    def load(settings):
        assert go_on.wait(WAIT_S)
        return LOADED

    loading = EngineLoading(load, lambda: None)
    with pytest.raises(StoppedError):
        loading.load(Settings(), lambda: False)
    assert loading.busy
    go_on.set()


def test_engines_nobody_waits_for_any_more_load_before_others_and_count_as_busy():
    gates = {"old": threading.Event(), "new": threading.Event()}
    begun = []

    def load(settings):
        begun.append(settings["engine.model"])
        assert gates[begun[-1]].wait(WAIT_S)
        return LOADED

    loading = EngineLoading(load, lambda: None)
    old = loading.begin(Settings({"engine.model": "old"}))
    new = loading.begin(Settings({"engine.model": "new"}))
    gates["new"].set()
    until(lambda: begun, "a load that has begun")
    assert loading.busy
    assert not new.done()
    assert begun == ["old"]
    gates["old"].set()
    until(new.done, "the second load")
    assert old.done()
    assert begun == ["old", "new"]
    until(lambda: not loading.busy, "end of all loads")
