# SPDX-License-Identifier: AGPL-3.0-only
"""Average precision is the one that everybody means: worked examples, and ultralytics' own figures."""

import numpy as np
import pytest

from cone_detector.classes import CLASS_NAMES
from offline_tools.metrics import IOU_THRESHOLDS, box_iou, by_height, figures, join, match, on_labels, score_image

BLUE, YELLOW = 0, 4


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def labels(*values):
    return np.array(values, np.int64)


def scored(xyxy, score, label, truth, truth_label):
    return score_image(xyxy, np.array(score, np.float64), label, truth, truth_label)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_iou(a, b, iou):
    assert box_iou(boxes(a), boxes(b))[0, 0] == pytest.approx(iou)


def test_a_cone_is_hit_once_and_by_the_surer_box():
    truth = boxes((0, 0, 10, 20))
    correct, claims = match(boxes((0, 0, 10, 20), (0, 0, 10, 19)), labels(BLUE, BLUE), truth, labels(BLUE))
    assert correct[:, 0].tolist() == [True, False]
    assert claims.tolist() == [0, -1]


def test_the_class_must_fit():
    correct, _ = match(boxes((0, 0, 10, 20)), labels(YELLOW), boxes((0, 0, 10, 20)), labels(BLUE))
    assert not correct.any()


def test_a_loose_box_counts_up_to_its_overlap():
    correct, _ = match(boxes((0, 0, 10, 14)), labels(BLUE), boxes((0, 0, 10, 20)), labels(BLUE))
    assert correct[0].sum() == (IOU_THRESHOLDS <= 0.7).sum()


@pytest.mark.parametrize(("detections", "truths"), [(0, 0), (0, 3), (3, 0)])
def test_images_without_cones_or_detections(detections, truths):
    found = scored(
        np.tile(boxes((0, 0, 10, 20)), (detections, 1)),
        [0.9, 0.8, 0.7][:detections],
        np.zeros(detections, np.int64),
        np.tile(boxes((0, 0, 10, 20)), (truths, 1)),
        np.zeros(truths, np.int64),
    )
    result = figures(found)
    assert result.map50 == 0
    assert len(result.per_class) == (1 if truths else 0)


def test_perfect_detections_score_one():
    truth = boxes((0, 0, 10, 20), (30, 0, 40, 20))
    result = figures(scored(truth, [0.9, 0.8], labels(BLUE, YELLOW), truth, labels(BLUE, YELLOW)))
    assert result.map50 == pytest.approx(0.995, abs=0.01)
    assert result.recall == pytest.approx(1.0)
    assert set(result.per_class) == {CLASS_NAMES[BLUE], CLASS_NAMES[YELLOW]}


def test_a_far_cone_hit_by_a_taller_box_is_no_false_alarm_among_near_ones():
    truth = boxes((0, 0, 10, 20), (50, 0, 60, 40))
    found = boxes((0, 0, 10, 23), (50, 0, 60, 40))
    everything = scored(found, [0.9, 0.8], labels(BLUE, BLUE), truth, labels(BLUE, BLUE))
    near, far = by_height(everything, 22, np.inf), by_height(everything, 0, 22)
    assert near.score.tolist() == [0.8]
    assert far.score.tolist() == [0.9]
    assert far.truth_height.tolist() == [20.0]


def test_boxes_that_touch_no_label_can_be_left_out():
    truth, truth_label = boxes((0, 0, 10, 20), (100, 0, 110, 20)), labels(BLUE, BLUE)
    found = boxes((50, 0, 60, 20), (0, 0, 10, 20), (0, 12, 10, 32), (100, 0, 110, 20), (100, 18, 110, 38))
    scene = scored(found, (0.9, 0.8, 0.7, 0.6, 0.5), labels(BLUE, BLUE, BLUE, YELLOW, BLUE), truth, truth_label)
    np.testing.assert_allclose(scene.overlap, [0, 1, 0.25, 1, 1 / 19])
    kept = on_labels(scene)
    # A loose double and a wrong class stay; what lies beside all labels or barely on one goes.
    assert kept.score.tolist() == [0.8, 0.7, 0.6]
    assert kept.truth_label.tolist() == [BLUE, BLUE]
    assert figures(kept).per_class["blue_cone"].map50 > figures(scene).per_class["blue_cone"].map50
    assert on_labels(scored(found, (0.9, 0.8, 0.7, 0.6, 0.5), labels(*[BLUE] * 5), boxes(), labels())).score.size == 0


def random_scene(seed):
    draw = np.random.default_rng(seed)
    parts = []
    for _ in range(30):
        corner = draw.uniform(0, 300, (draw.integers(0, 9), 2))
        truth = np.hstack((corner, corner + draw.uniform(8, 60, corner.shape))).astype(np.float32)
        truth_label = draw.choice([0, 2, 4], len(truth))
        noisy = truth + draw.normal(0, 3, truth.shape).astype(np.float32)
        false = draw.uniform(0, 300, (draw.integers(0, 4), 2))
        xyxy = np.vstack((noisy, np.hstack((false, false + 30)))).astype(np.float32)
        label = np.concatenate((truth_label, draw.choice([0, 2, 4], len(false))))
        score = draw.uniform(0.05, 1, len(xyxy))
        order = np.argsort(-score)
        parts.append(scored(xyxy[order], score[order], label[order], truth, truth_label))
    return join(parts)


@pytest.mark.offline
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_ultralytics(seed):
    reference = pytest.importorskip("ultralytics.utils.metrics", reason="ultralytics is not installed")
    scene = random_scene(seed)
    _, _, precision, recall, _, ap, *_ = reference.ap_per_class(
        scene.correct, scene.score, scene.label, scene.truth_label
    )
    ours = figures(scene)
    assert ours.map50 == pytest.approx(ap[:, 0].mean(), abs=1e-3)
    assert ours.map50_95 == pytest.approx(ap.mean(), abs=1e-3)
    assert ours.precision == pytest.approx(precision.mean(), abs=1e-6)
    assert ours.recall == pytest.approx(recall.mean(), abs=1e-6)
