# SPDX-License-Identifier: Apache-2.0
"""A second pass runs when it is needed, says why, and never past the deadline."""

import numpy as np
import pytest
from doubles import TableEngine, rows_of

from cone_detector.adaptive import Evidence, make_policy
from cone_detector.detector import StereoDetector
from cone_detector.frames import Frame
from cone_detector.settings import Settings

SURE, UNSURE = 0.9, 0.5


def image(*scores: float) -> np.ndarray:
    return rows_of(*[(20 * i, 0, 20 * i + 9, 30, s, 0) for i, s in enumerate(scores)])[: len(scores)]


def evidence(left, right, elapsed_ms=0.0, next_pass_ms=0.0) -> Evidence:
    return Evidence((image(*left), image(*right)), elapsed_ms, next_pass_ms)


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ([SURE, SURE], [SURE, SURE], None),
        ([SURE, UNSURE], [SURE, SURE], "mean confidence left"),
        ([SURE, SURE], [UNSURE, SURE], "mean confidence right"),
        ([], [SURE], "nothing seen left"),
        ([SURE], [], "nothing seen right"),
        ([SURE] * 5, [SURE], "disagreement right"),
        ([SURE] * 4, [SURE], None),
    ],
)
def test_the_cascade_escalates_on_doubt_and_names_the_eye(left, right, reason):
    step = make_policy(Settings({"policy.refresh_frames": 0})).second(evidence(left, right))
    assert (step and step.reason) == reason
    assert step is None or step.name == "640"


@pytest.mark.parametrize(("elapsed", "expected", "runs"), [(5, 10, True), (5, 11.1, False), (20, 0, False)])
def test_the_deadline_forbids_a_second_pass_that_would_miss_it(elapsed, expected, runs):
    policy = make_policy(Settings({"policy.deadline_ms": 16.0}))
    assert (policy.second(evidence([UNSURE], [SURE], elapsed, expected)) is not None) == runs


def test_hysteresis_keeps_escalating_until_the_doubt_has_clearly_gone():
    policy = make_policy(Settings({"policy.min_mean_confidence": 0.8, "policy.hysteresis": 0.05}))
    escalated = [policy.second(evidence([s], [s])) is not None for s in (0.82, 0.79, 0.82, 0.84, 0.86, 0.82)]
    assert escalated == [False, True, True, True, False, False]


def test_a_refresh_comes_after_so_many_sure_frames():
    policy = make_policy(Settings({"policy.refresh_frames": 3}))
    reasons = [step and step.reason for step in (policy.second(evidence([SURE], [SURE])) for _ in range(7))]
    assert reasons == [None, None, "refresh", None, None, "refresh", None]


@pytest.mark.parametrize(
    ("policy", "scores", "passes"),
    [
        ("fixed_320", UNSURE, ["320"]),
        ("fixed_640", UNSURE, ["640"]),
        ("cascade", UNSURE, ["320", "640"]),
        ("cascade", SURE, ["320"]),
    ],
)
def test_the_policy_decides_which_passes_run(policy, scores, passes):
    rows = np.stack([rows_of((0, 20, 9, 50, scores, 0))] * 2)
    engine = TableEngine(lambda name, canvas: rows)
    black = Frame(np.zeros((720, 1280, 3), np.uint8))
    result = StereoDetector(engine, Settings({"policy.name": policy})).detect(black, black)
    assert engine.passes == passes
    assert engine.uploads == 1
    assert [step.name for step in result.steps] == passes
    assert result.escalated == (len(passes) > 1)


def test_the_last_pass_decides_what_is_reported():
    def sees_more_at_640(name, canvas):
        count = 1 if name == "320" else 3
        return np.stack([rows_of(*[(20 * i, 20, 20 * i + 9, 50, UNSURE, 0) for i in range(count)])] * 2)

    black = Frame(np.zeros((720, 1280, 3), np.uint8))
    result = StereoDetector(TableEngine(sees_more_at_640), Settings({"policy.name": "cascade"})).detect(black, black)
    assert len(result.detections[0]) == 3
