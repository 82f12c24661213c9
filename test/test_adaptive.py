# SPDX-License-Identifier: Apache-2.0
"""Policies: which passes run, when, why, and never past the deadline."""

import numpy as np
import pytest
from doubles import ALL_PASSES, MANIFEST_320, MANIFEST_640, TableEngine, rows_of

from cone_detector.adaptive import NO_ROWS, Conditions, Sight, make_policy
from cone_detector.detector import StereoDetector
from cone_detector.frames import Frame
from cone_detector.settings import SettingError, Settings

SURE, UNSURE = 0.9, 0.45
BLACK = Frame(np.zeros((720, 1280, 3), np.uint8))
FREE = Conditions(lambda name: True, (192.0, 192.0))
LATE = Conditions(lambda name: False, (192.0, 192.0))
CALM = {
    "policy.refresh_frames": 0,
    "policy.hold_frames": 0,
    "policy.evidence.mean_confidence": True,
    "policy.evidence.disagreement": True,
    "policy.evidence.ambiguous": False,
}


def image(*scores: float, height: float = 30) -> np.ndarray:
    return rows_of(*[(40 * i + 20, 200, 40 * i + 40, 200 + height, s, 0) for i, s in enumerate(scores)])[: len(scores)]


def sight(left=(SURE,), right=(SURE,), **shape) -> Sight:
    return Sight((image(*left, **shape), image(*right, **shape)))


def policy(name: str = "cascade", **changes):
    named = {f"policy.{key}": value for key, value in changes.items()}
    return make_policy(Settings({"policy.name": name} | CALM | named), {m.name: m for m in ALL_PASSES})


def reasons(made, sights, conditions=FREE) -> list[str | None]:
    found = []
    for seen in sights:
        made.first(conditions)
        step = made.second(seen, conditions).step
        found.append(step and step.reason)
        made.remember(seen.rows)
    return found


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ([SURE, SURE], [SURE, SURE], None),
        ([SURE, UNSURE], [SURE, SURE], "mean confidence left"),
        ([SURE, SURE], [UNSURE, SURE], "mean confidence right"),
        ([UNSURE], [UNSURE], "mean confidence both"),
        ([], [SURE], "nothing seen left"),
        ([SURE], [], "nothing seen right"),
        ([SURE] * 5, [SURE], "disagreement right"),
        ([SURE] * 4, [SURE], None),
    ],
)
def test_the_cascade_escalates_on_doubt_and_names_the_eye(left, right, reason):
    assert reasons(policy(), [sight(left, right)]) == [reason]


@pytest.mark.parametrize(("name", "second"), [("cascade", "640"), ("band", "band")])
def test_the_deadline_forbids_a_second_pass_and_says_which_doubt_stays(name, second):
    assert policy(name).second(sight([UNSURE]), FREE).step.name == second
    decision = policy(name).second(sight([UNSURE]), LATE)
    assert decision.step is None
    assert decision.forbidden == "mean confidence left"


def test_a_doubt_holds_for_some_frames_after_it_has_gone():
    scores = (0.9, 0.7, 0.9, 0.9, 0.9)
    held = "held: mean confidence both"
    assert reasons(policy(hold_frames=2), [sight([s], [s]) for s in scores]) == [
        None,
        "mean confidence both",
        held,
        held,
        None,
    ]


def test_a_refresh_comes_after_so_many_sure_frames():
    found = reasons(policy(refresh_frames=3), [sight()] * 7)
    assert found == [None, None, "refresh", None, None, "refresh", None]


def test_a_refresh_that_the_deadline_forbade_comes_as_soon_as_it_may():
    made = policy(refresh_frames=2)
    assert reasons(made, [sight()] * 4, LATE) == [None] * 4
    assert reasons(made, [sight()] * 2, FREE) == ["refresh", None]


def test_the_band_comes_always_or_on_evidence():
    assert reasons(policy("band", band_on_evidence=False), [sight()] * 2) == ["far cones"] * 2
    on_evidence = policy("band", band_on_evidence=True)
    assert reasons(on_evidence, [sight(), sight([UNSURE])]) == [None, "mean confidence left"]


@pytest.mark.parametrize("strip", ["band", "zoom"])
def test_a_strip_may_follow_640(strip):
    made = policy(strip, strip_after_640=True, band_on_evidence=False)
    assert made.first(FREE).name == "640"
    assert made.second(sight(), FREE).step.name == strip


def cones(*boxes: tuple[float, float]) -> Sight:
    """The same cones in both images, each (base row, height) with the horizon at 130 and the camera 1 m high."""
    rows = rows_of(*[(40 * i + 20, y - h, 40 * i + 30, y, SURE, 0) for i, (y, h) in enumerate(boxes)])[: len(boxes)]
    return Sight((rows, rows))


FAR, NEAR = (160, 10), (253, 40)


@pytest.mark.parametrize(
    ("seen", "name", "reason"),
    [
        (cones(FAR), "band", "far cones expected"),
        (cones(NEAR), "320", "no far cones expected"),
        (cones(FAR, NEAR), "640", "near and far cones expected"),
    ],
)
def test_the_predictive_policy_takes_the_one_pass_that_shows_all_expected_cones(seen, name, reason):
    made = policy("predictive")
    assert (made.first(FREE).name, made.first(FREE).reason) == ("640", "start")
    assert made.second(seen, FREE).step is None
    made.remember(seen.rows)
    step = made.first(FREE)
    assert (step.name, step.reason) == (name, reason)
    if name == "band":
        assert step.top[0] <= 150
        assert step.top[0] + 96 >= 160


def test_the_predictive_policy_looks_fully_after_a_doubt_and_falls_back_at_the_deadline():
    made = policy("predictive")
    made.first(FREE)
    made.remember(cones(NEAR).rows)
    assert made.first(FREE).name == "320"
    made.second(Sight((NO_ROWS, NO_ROWS)), FREE)
    made.remember((NO_ROWS, NO_ROWS))
    assert made.first(FREE).reason == "nothing seen both"
    assert made.first(LATE).name == "320"


def test_the_predictive_policy_follows_a_cone_that_comes_nearer():
    """A cone known from the strip stays expected while 320 cannot see it, and leaves the strip as it grows."""
    made = policy("predictive")
    names = []
    for height in np.linspace(10, 40, 31):
        seen = cones((130 + 3.08 * height, height))
        names.append(made.first(FREE).name)
        made.second(seen, FREE)
        made.remember(seen.rows)
    assert names[1] == "band"
    assert names[-1] == "320"
    assert "640" not in names[1:]


def test_a_cone_that_a_lone_strip_cuts_is_published_whole_or_not_at_all():
    """A near cone comes in from the side, of which the strip shows no more than the upper part."""
    far, near, lower_edge = (300, 151, 306, 161, SURE, 0), (20, 160, 70, 240, SURE, 4), []

    def answer(name, canvas):
        if name != "band":
            return np.stack([rows_of(far, near) if lower_edge else rows_of(far)] * 2)
        lower_edge[:] = [float(top + 80) for top in engine.tops[-1]]
        return np.stack([rows_of(far, (*near[:3], edge, *near[4:])) for edge in lower_edge])

    engine = TableEngine(answer)
    detector = StereoDetector(engine, Settings({"policy.name": "predictive"} | CALM))
    first, second, third = (detector.detect(BLACK, BLACK) for _ in range(3))
    assert engine.passes == ["640", "band", "640"]
    assert [found.detections[0].label.tolist() for found in (first, second, third)] == [[0], [0], [0, 4]]
    assert third.steps[0].reason == "cone cut by the strip"


@pytest.mark.parametrize(
    ("name", "scores", "passes"),
    [
        ("fixed_320", UNSURE, ["320"]),
        ("fixed_640", UNSURE, ["640"]),
        ("cascade", None, ["320", "640"]),
        ("cascade", SURE, ["320"]),
        ("band", None, ["320", "band"]),
        ("band", SURE, ["320"]),
        ("predictive", SURE, ["640"]),
        ("auto", None, ["320", "band"]),
    ],
)
def test_the_policy_decides_which_passes_run_over_one_upload(name, scores, passes):
    """scores: of the one cone that is seen; None for no cone, which is a doubt."""
    rows = np.stack([rows_of((20, 20, 29, 50, scores, 0)) if scores else rows_of()] * 2)
    engine = TableEngine(lambda name, canvas: rows)
    result = StereoDetector(engine, Settings({"policy.name": name})).detect(BLACK, BLACK)
    assert engine.passes == passes
    assert engine.uploads == 1
    assert [step.name for step in result.steps] == passes
    assert result.escalated == (len(passes) > 1)


def test_auto_is_fixed_640_where_there_is_no_band():
    engine = TableEngine(lambda name, canvas: np.zeros((2, 300, 6), np.float32), passes=(MANIFEST_320, MANIFEST_640))
    StereoDetector(engine, Settings({"policy.name": "auto"})).detect(BLACK, BLACK)
    assert engine.passes == ["640"]


def test_after_a_second_look_at_the_whole_canvas_it_alone_decides():
    def sees_more_at_640(name, canvas):
        count = 1 if name == "320" else 3
        return np.stack([rows_of(*[(20 * i, 20, 20 * i + 9, 50, UNSURE, 0) for i in range(count)])] * 2)

    settings = Settings({"policy.name": "cascade", "policy.evidence.mean_confidence": True})
    result = StereoDetector(TableEngine(sees_more_at_640), settings).detect(BLACK, BLACK)
    assert len(result.detections[0]) == 3


def test_a_band_adds_far_cones_and_says_where_it_looked():
    near, far = (100, 255, 140, 315, SURE, 4), (300, 151, 306, 161, UNSURE, 0)

    def answer(name, canvas):
        return np.stack([rows_of(near if name == "320" else far)] * 2)

    engine = TableEngine(answer)
    settings = Settings({"policy.name": "band", "policy.band_on_evidence": False})
    result = StereoDetector(engine, settings).detect(BLACK, BLACK)
    assert result.detections[0].label.tolist() == [4, 0]
    top = engine.tops[1]
    assert top == result.steps[1].top
    assert top[0] <= 151
    assert top[0] + 96 >= 161


def test_a_zoom_is_given_the_camera_images_own_pixels():
    engine = TableEngine(lambda name, canvas: np.zeros((2, 300, 6), np.float32))
    rng = np.random.default_rng(0)
    left, right = (Frame(rng.integers(0, 256, (720, 1280, 3), np.uint8)) for _ in range(2))
    result = StereoDetector(engine, Settings({"policy.name": "zoom", "policy.band_on_evidence": False})).detect(
        left, right
    )
    assert [step.name for step in result.steps] == ["320", "zoom"]
    for frame, close_up, top in zip((left, right), engine.close_ups["zoom"], result.steps[1].top, strict=True):
        first = 2 * (top - 12)
        np.testing.assert_array_equal(close_up, frame.pixels[first : first + 128])


@pytest.mark.parametrize("name", ["band", "predictive"])
def test_a_policy_whose_pass_is_missing_is_refused_and_the_old_one_stays(name):
    engine = TableEngine(lambda name, canvas: np.zeros((2, 300, 6), np.float32), passes=(MANIFEST_320, MANIFEST_640))
    with pytest.raises(SettingError, match=f"'{name}'.*band is not there.*choose auto, fixed_320, fixed_640, cascade$"):
        StereoDetector(engine, Settings({"policy.name": name}))
    detector = StereoDetector(engine, Settings({"policy.name": "cascade"}))
    with pytest.raises(SettingError):
        detector.settings = detector.settings.changed({"policy.name": name})
    assert detector.settings["policy.name"] == "cascade"
    assert detector.detect(BLACK, BLACK).steps[0].reason == "first look"


def test_what_is_remembered_outlives_the_engines_memory():
    """Rows lie in memory that the next pass overwrites; a lost cone must be measured against the old ones."""
    rows = np.stack([rows_of((100, 200, 120, 240, SURE, 0), (300, 200, 320, 240, SURE, 0))] * 2)
    changes = {"policy.evidence.lost_tracks": True, "policy.name": "cascade"} | CALM
    detector = StereoDetector(TableEngine(lambda name, canvas: rows, nms=False), Settings(changes))
    assert not detector.detect(BLACK, BLACK).escalated
    rows[0, 1] = 0
    assert detector.detect(BLACK, BLACK).steps[1].reason == "cone lost left"
