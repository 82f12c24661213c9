# SPDX-License-Identifier: Apache-2.0
"""Thresholds hold per class; suppression is class-aware, per image, and keeps the order by score."""

import numpy as np
import pytest
from doubles import rows_of
from hypothesis import given
from hypothesis import strategies as st

from cone_detector.boxes import sift, suppress

NO_CONES = rows_of()
SAME = (10, 10, 30, 50)
NEAR = (11, 11, 31, 51)
AWAY = (100, 10, 130, 50)


def thresholds(default: float = 0.35, **by_class: float) -> np.ndarray:
    values = np.full(5, default, np.float32)
    for name, value in by_class.items():
        values[int(name.removeprefix("c"))] = value
    return values


@pytest.mark.parametrize(
    ("limits", "kept_scores"),
    [
        (thresholds(0.35), [0.9, 0.5, 0.35]),
        (thresholds(0.95), []),
        (thresholds(0.01), [0.9, 0.5, 0.35, 0.2]),
        (thresholds(0.35, c4=0.1), [0.9, 0.5, 0.35, 0.2]),  # a lower limit for yellow alone
        (thresholds(0.35, c0=0.95), [0.5, 0.35]),  # a higher one for blue
    ],
)
def test_a_cone_stays_at_or_above_its_class_threshold(limits, kept_scores):
    rows = rows_of((0, 0, 9, 9, 0.9, 0), (0, 0, 9, 9, 0.5, 2), (0, 0, 9, 9, 0.35, 1), (0, 0, 9, 9, 0.2, 4))
    floor = float(limits.min())
    (sure, none), (faint, _) = sift(np.stack((rows, NO_CONES)), floor, limits, iou=1.0)
    np.testing.assert_allclose(sure[:, 4], kept_scores)
    seen = rows[(rows[:, 4] >= floor) & (rows[:, 4] > 0), 4]
    assert sorted([*sure[:, 4], *faint[:, 4]], reverse=True) == seen.tolist()
    assert not len(none)


def test_a_score_that_is_no_number_costs_no_other_cone():
    rows = rows_of((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.8, 0))
    rows = np.stack((np.roll(rows, 1, axis=0), rows))
    rows[0, 0, 4] = np.nan
    found, _ = sift(rows, 0.35, thresholds(), 0.5)[0]
    np.testing.assert_array_equal(found, rows[0, 1:3])


def test_a_faint_box_on_a_sure_one_is_the_same_cone():
    rows = rows_of((*SAME, 0.9, 0), (*NEAR, 0.2, 0), (*AWAY, 0.2, 0))
    (sure, _), (faint, _) = sift(np.stack((rows, NO_CONES)), 0.1, thresholds(), 0.5)
    np.testing.assert_array_equal(sure, rows[:1])
    np.testing.assert_array_equal(faint, rows[2:3])


@pytest.mark.parametrize("label", [-1, 5, np.nan])
def test_a_class_that_nobody_knows_is_refused(label):
    rows = rows_of((*SAME, 0.9, label))
    with pytest.raises(ValueError, match="class that has no threshold"):
        sift(np.stack((rows, rows)), 0.1, thresholds(), 0.5)


@pytest.mark.parametrize(
    ("left", "right", "kept"),
    [
        ([], [], ([], [])),
        ([(*SAME, 0.9, 0), (*NEAR, 0.8, 0)], [], ([0.9], [])),
        ([], [(*SAME, 0.9, 0), (*NEAR, 0.8, 0)], ([], [0.9])),
        ([(*SAME, 0.9, 0), (*NEAR, 0.8, 4)], [], ([0.9, 0.8], [])),  # another class stays
        ([(*SAME, 0.9, 0), (*AWAY, 0.8, 0)], [], ([0.9, 0.8], [])),
        ([(*SAME, 0.7, 0)], [(*NEAR, 0.9, 0)], ([0.7], [0.9])),  # another image stays
        ([(*SAME, 0.6, 3)], [(*NEAR, 0.9, 0), (*SAME, 0.5, 0)], ([0.6], [0.9])),
    ],
)
def test_suppression(left, right, kept):
    def rows(cones):
        return rows_of(*cones)[: len(cones)]

    for found, scores in zip(suppress((rows(left), rows(right)), 0.5), kept, strict=True):
        np.testing.assert_allclose(found[:, 4], scores)


@pytest.mark.parametrize(
    ("left", "right", "iou", "kept"),
    [
        ([(*SAME, 0.9, 0), (*NEAR, 0.8, 4)], [], 0.8, ([0.9], [])),
        ([(*SAME, 0.9, 0), (*NEAR, 0.8, 4)], [], 0.9, ([0.9, 0.8], [])),  # of overlap 0.86
        ([(*SAME, 0.9, 0), (*AWAY, 0.8, 4)], [], 0.8, ([0.9, 0.8], [])),
        ([(*SAME, 0.7, 0)], [(*SAME, 0.9, 4)], 0.8, ([0.7], [0.9])),  # another image stays
    ],
)
def test_suppression_across_classes(left, right, iou, kept):
    found = suppress((rows_of(*left)[: len(left)], rows_of(*right)[: len(right)]), iou, across_classes=True)
    for side, scores in zip(found, kept, strict=True):
        np.testing.assert_allclose(side[:, 4], scores)


def reference(rows: np.ndarray, iou_limit: float) -> np.ndarray:
    """Greedy suppression, box by box, as the textbook has it."""
    kept: list[np.ndarray] = []
    for row in rows:
        for other in kept:
            overlap = np.prod(np.clip(np.minimum(row[2:4], other[2:4]) - np.maximum(row[:2], other[:2]), 0, None))
            union = np.prod(row[2:4] - row[:2]) + np.prod(other[2:4] - other[:2]) - overlap
            if row[5] == other[5] and overlap / union > iou_limit:
                break
        else:
            kept.append(row)
    return np.array(kept, np.float32).reshape(-1, 6)


cones = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(5, 40), st.integers(5, 40), st.integers(0, 4)),
    max_size=25,
)


@given(cones, cones)
def test_suppression_agrees_with_the_textbook(left, right):
    def rows(boxes):
        made = [(x, y, x + w, y + h, 0.99 - 0.01 * i, c) for i, (x, y, w, h, c) in enumerate(boxes)]
        return np.array(made, np.float32).reshape(-1, 6)

    # 0.4517: no ratio of such small whole numbers, so rounding cannot decide a case.
    found = suppress((rows(left), rows(right)), 0.4517)
    np.testing.assert_array_equal(found[0], reference(rows(left), 0.4517))
    np.testing.assert_array_equal(found[1], reference(rows(right), 0.4517))
