# SPDX-License-Identifier: Apache-2.0
"""Two images in, cones in original pixels out: sides kept apart, thresholds live, faults told, passes explained."""

import numpy as np
import pytest
from doubles import TableEngine, rows_of

from cone_detector.detections import Cones
from cone_detector.detector import StereoDetector
from cone_detector.engine.contract import EngineError
from cone_detector.frames import Frame
from cone_detector.settings import Settings

GREY = Frame(np.full((720, 1280, 3), 100, np.uint8))
WHITE = Frame(np.full((720, 1280, 3), 255, np.uint8))
BLUE_AT_100 = (100, 112, 120, 152, 0.9, 0)
YELLOW_AT_300 = (300, 112, 320, 152, 0.8, 4)


def detector(answer, nms: bool = True, **changes) -> StereoDetector:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return StereoDetector(TableEngine(answer, nms=nms), Settings({"policy.name": "fixed_640"} | named))


def always(left: tuple, right: tuple):
    rows = np.stack((rows_of(*left), rows_of(*right)))
    return lambda name, canvas: rows


def test_boxes_come_back_in_original_pixels():
    result = detector(always((BLUE_AT_100,), ())).detect(GREY, GREY)
    np.testing.assert_allclose(result.detections[0].xyxy, [[200, 200, 240, 280]])
    assert result.detections[0].label.tolist() == [0]
    assert len(result.detections[1]) == 0


def test_left_and_right_are_never_swapped():
    """Each image reaches its own half of the canvas, and its rows return to its own side."""

    def brighter_is_yellow(name, canvas):
        return np.stack([rows_of(YELLOW_AT_300 if side[192, 320, 0] > 200 else BLUE_AT_100) for side in canvas])

    result = detector(brighter_is_yellow).detect(GREY, WHITE)
    assert [found.label.tolist() for found in result.detections] == [[0], [4]]


def test_cameras_of_different_sizes_map_back_each_by_its_own_letterbox():
    small = Frame(np.zeros((360, 640, 3), np.uint8))
    result = detector(always((BLUE_AT_100,), (BLUE_AT_100,))).detect(GREY, small)
    np.testing.assert_allclose(result.detections[0].xyxy, [[200, 200, 240, 280]])
    np.testing.assert_allclose(result.detections[1].xyxy, [[100, 100, 120, 140]])


def test_an_end_to_end_model_gets_no_suppression():
    twice = (BLUE_AT_100, (101, 113, 121, 153, 0.7, 0))
    assert len(detector(always(twice, ()), nms=False).detect(GREY, GREY).detections[0]) == 2
    assert len(detector(always(twice, ()), nms=True).detect(GREY, GREY).detections[0]) == 1


def test_one_place_holds_one_cone_of_the_surer_class():
    guesses = (BLUE_AT_100, (101, 113, 121, 153, 0.7, 4))
    found = detector(always(guesses, ())).detect(GREY, GREY).detections[0]
    assert found.label.tolist() == [0]
    both = detector(always(guesses, ()), nms_iou_across_classes=1.0).detect(GREY, GREY).detections[0]
    assert both.label.tolist() == [0, 4]
    # What its class's threshold rules out takes nobody's place.
    strict = detector(always(guesses, ()), class_confidence__blue_cone=0.95).detect(GREY, GREY).detections[0]
    assert strict.label.tolist() == [4]


def test_thresholds_change_between_frames():
    made = detector(always((BLUE_AT_100, YELLOW_AT_300), ()))
    assert len(made.detect(GREY, GREY).detections[0]) == 2
    made.settings = made.settings.changed({"class_confidence.yellow_cone": 0.85})
    assert made.detect(GREY, GREY).detections[0].label.tolist() == [0]
    made.settings = made.settings.changed({"class_confidence.yellow_cone": 0.0, "confidence": 0.95})
    assert len(made.detect(GREY, GREY).detections[0]) == 0


def test_results_survive_the_next_frame():
    """The engine overwrites its rows; what was handed out must not change."""
    rows = np.zeros((2, 300, 6), np.float32)
    rows[:, 0] = BLUE_AT_100
    made = detector(lambda name, canvas: rows)
    first = made.detect(GREY, GREY)
    rows[:, 0] = YELLOW_AT_300
    made.detect(GREY, GREY)
    assert first.detections[0].label.tolist() == [0]
    np.testing.assert_allclose(first.detections[0].xyxy, [[200, 200, 240, 280]])


def test_without_calibration_there_is_2d_and_a_reason():
    result = detector(always((BLUE_AT_100,), (BLUE_AT_100,))).detect(GREY, GREY)
    assert result.cones is None
    assert "CameraInfo" in result.no_cones_reason


def test_a_locator_that_refuses_costs_only_the_3d():
    def refuse(*_):
        raise ValueError("baseline is 0 m")

    made = detector(always((BLUE_AT_100,), ()))
    made.locator = refuse
    result = made.detect(GREY, GREY)
    assert (result.cones, result.no_cones_reason) == (None, "baseline is 0 m")
    assert len(result.detections[0]) == 1


def test_a_locator_is_given_both_images_and_may_be_switched_off():
    seen = []
    made = detector(always((BLUE_AT_100,), ()))
    made.locator = lambda *given: seen.append(given) or Cones.empty()
    assert len(made.detect(GREY, WHITE).cones) == 0
    assert seen[0][2] is GREY
    assert seen[0][3] is WHITE
    made.settings = made.settings.changed({"stereo.enabled": False})
    assert made.detect(GREY, WHITE).no_cones_reason == "stereo.enabled is false"
    assert len(seen) == 1


def test_a_failing_engine_raises():
    with pytest.raises(EngineError):
        detector(lambda name, canvas: None).detect(GREY, GREY)


def test_every_stage_is_timed():
    result = detector(always((), ())).detect(GREY, GREY)
    assert {"letterbox", "inference", "nms", "stereo"} <= result.ms.keys()
    assert min(result.ms.values()) >= 0
