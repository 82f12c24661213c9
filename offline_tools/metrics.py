# SPDX-License-Identifier: AGPL-3.0-only
"""Average precision of boxes, as COCO and ultralytics compute it, in NumPy alone.

The same conventions as ultralytics' trainer (greedy matching in order of score, 101-point interpolation, mean over the
classes that the labels show), so that its figures and ours can stand in one table; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
CONFIDENCES = np.linspace(0, 1, 1000)
_RECALLS = np.linspace(0, 1, 101)
_SMOOTHING = 0.1
# A detection that overlaps a label by less lies elsewhere.
_TOUCHES = 0.1


@dataclass(frozen=True)
class Scored:
    """All detections and labels of a set of images, matched.

    correct: (N, 10) bool, whether each detection is right at each of IOU_THRESHOLDS.
    score, label, height: (N,) of the detections. truth_label, truth_height: (M,) of the labelled cones.
    claims: (N,) int64, the labelled cone that a detection hit at IoU 0.5, -1 for none. overlap: (N,) the largest IoU of
    a detection with any label of its image, of whatever class.
    Heights are in pixels of the canvas.
    """

    correct: NDArray[np.bool_]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    height: NDArray[np.float64]
    truth_label: NDArray[np.int64]
    truth_height: NDArray[np.float64]
    claims: NDArray[np.int64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class. precision, recall: at the confidence of the best mean F1."""

    map50: float
    map50_95: float
    precision: float
    recall: float
    labels: int


@dataclass(frozen=True)
class Figures:
    """Figures of a set of images; means over the classes that the labels show.

    f1_curve, precision_curve, recall_curve: (classes, 1000) over CONFIDENCES. pr_curve: (classes, 101) precision at IoU
    0.5 over recalls 0, 0.01 … 1. Rows follow `shown`, indices into CLASS_NAMES.
    """

    map50: float
    map50_95: float
    precision: float
    recall: float
    confidence: float
    per_class: dict[str, ClassFigures]
    shown: tuple[int, ...]
    precision_curve: NDArray[np.float64]
    recall_curve: NDArray[np.float64]
    f1_curve: NDArray[np.float64]
    pr_curve: NDArray[np.float64]


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Overlap of each of (N, 4) with each of (M, 4) boxes x1, y1, x2, y2: (N, M) in 0..1."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return shared / np.maximum(area_a[:, None] + area_b[None] - shared, 1e-12)


def match(
    xyxy: NDArray[np.float32],
    label: NDArray[np.int64],
    truth_xyxy: NDArray[np.float32],
    truth_label: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which detections of one image are right, at each IoU threshold, and which labelled cone each hit at 0.5.

    Detections must be sorted by falling score. Returns (N, 10) bool and (N,) int64, -1 where none was hit.
    """
    correct = np.zeros((len(xyxy), len(IOU_THRESHOLDS)), bool)
    claims = np.full(len(xyxy), -1, np.int64)
    if not len(truth_xyxy) or not len(xyxy):
        return correct, claims
    iou = box_iou(truth_xyxy, xyxy) * (truth_label[:, None] == label[None])
    taken = np.zeros((len(truth_xyxy), len(IOU_THRESHOLDS)), bool)
    every = np.arange(len(IOU_THRESHOLDS))
    for index in np.flatnonzero((iou >= IOU_THRESHOLDS[0]).any(0)):
        free = np.where(taken, 0, iou[:, index, None])  # (labels, thresholds)
        best = free.argmax(0)
        correct[index] = free[best, every] >= IOU_THRESHOLDS
        taken[best, every] |= correct[index]
        if correct[index, 0]:
            claims[index] = best[0]
    return correct, claims


def score_image(
    xyxy: NDArray[np.float32],
    score: NDArray[np.float32],
    label: NDArray[np.int64],
    truth_xyxy: NDArray[np.float32],
    truth_label: NDArray[np.int64],
    scale: float = 1.0,
) -> Scored:
    """One image's detections, sorted by falling score, matched with its labels. scale: canvas pixels an image pixel."""
    correct, claims = match(xyxy, label, truth_xyxy, truth_label)
    height, truth_height = ((each[:, 3] - each[:, 1]).astype(np.float64) * scale for each in (xyxy, truth_xyxy))
    overlap = box_iou(xyxy, truth_xyxy).max(axis=1, initial=0)
    return Scored(correct, score.astype(np.float64), label, height, truth_label, truth_height, claims, overlap)


def join(parts: Sequence[Scored]) -> Scored:
    """Images scored apart, as one set."""
    offsets = np.cumsum([0, *(len(part.truth_label) for part in parts)])
    claims = [np.where(p.claims >= 0, p.claims + o, -1) for p, o in zip(parts, offsets, strict=False)]
    names = ("correct", "score", "label", "height", "truth_label", "truth_height", "overlap")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Scored(**joined, claims=np.concatenate(claims))


def figures(scored: Scored) -> Figures:
    """Average precision, and precision and recall at the confidence where their mean F1 is best."""
    order = np.argsort(-scored.score, kind="stable")
    correct, score, label = scored.correct[order], scored.score[order], scored.label[order]
    shown, counts = np.unique(scored.truth_label, return_counts=True)
    ap = np.zeros((len(shown), len(IOU_THRESHOLDS)))
    precision_curve, recall_curve = np.zeros((2, len(shown), len(CONFIDENCES)))
    pr_curve = np.zeros((len(shown), len(_RECALLS)))
    for row, (index, count) in enumerate(zip(shown, counts, strict=True)):
        of_class = label == index
        if not of_class.any():
            continue
        hits = correct[of_class].cumsum(0)
        recall = hits / count
        precision = hits / np.arange(1, len(hits) + 1)[:, None]
        falling = -score[of_class]
        recall_curve[row] = np.interp(-CONFIDENCES, falling, recall[:, 0], left=0)
        precision_curve[row] = np.interp(-CONFIDENCES, falling, precision[:, 0], left=1)
        envelopes = [_envelope(recall[:, i], precision[:, i]) for i in range(len(IOU_THRESHOLDS))]
        ap[row] = [_area(envelope) for envelope in envelopes]
        pr_curve[row] = envelopes[0]
    total = precision_curve + recall_curve
    f1_curve = 2 * precision_curve * recall_curve / np.maximum(total, 1e-16)
    best = int(_smooth(f1_curve.mean(0)).argmax()) if len(shown) else 0
    per_class = {
        CLASS_NAMES[index]: ClassFigures(
            float(ap[row, 0]),
            float(ap[row].mean()),
            float(precision_curve[row, best]),
            float(recall_curve[row, best]),
            int(counts[row]),
        )
        for row, index in enumerate(shown)
    }
    return Figures(
        _mean(c.map50 for c in per_class.values()),
        _mean(c.map50_95 for c in per_class.values()),
        _mean(c.precision for c in per_class.values()),
        _mean(c.recall for c in per_class.values()),
        float(CONFIDENCES[best]),
        per_class,
        tuple(int(index) for index in shown),
        precision_curve,
        recall_curve,
        f1_curve,
        pr_curve,
    )


def by_height(scored: Scored, low: float, high: float) -> Scored:
    """Only cones of low <= height < high canvas pixels.

    A detection that hit a cone belongs to that cone's range, any other to the range of its own height: a far cone whose
    box is a pixel too high does not count as a false alarm among the near ones.
    """
    inside = (scored.truth_height >= low) & (scored.truth_height < high)
    hit = scored.claims >= 0
    # Detections of a cone at IoU 0.5 follow the cone; -1 indexes the last one, which `hit` then masks.
    follows = inside[scored.claims] if len(inside) else np.zeros(len(hit), bool)
    own = (scored.height >= low) & (scored.height < high)
    keep = np.where(hit, follows, own)
    return Scored(
        scored.correct[keep],
        scored.score[keep],
        scored.label[keep],
        scored.height[keep],
        scored.truth_label[inside],
        scored.truth_height[inside],
        np.full(int(keep.sum()), -1, np.int64),
        scored.overlap[keep],
    )


def on_labels(scored: Scored) -> Scored:
    """Without the detections that touch no label.

    Where annotators left cones out, such a detection may be right or wrong, and nobody can tell by the labels. So these
    figures are an upper bound: false alarms beside all labels are left out with them. A double of a hit, a loose box
    and a wrong class still count.
    """
    keep = scored.overlap >= _TOUCHES
    names = ("correct", "score", "label", "height", "claims", "overlap")
    return replace(scored, **{name: getattr(scored, name)[keep] for name in names})


def _envelope(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision at or beyond each of 101 recalls."""
    at = np.concatenate(([0.0], recall, [recall[-1]], [1.0]))
    best = np.concatenate(([1.0], precision, [0.0], [0.0]))
    return np.interp(_RECALLS, at, np.flip(np.maximum.accumulate(np.flip(best))))


def _area(envelope: NDArray[np.float64]) -> float:
    return float(((envelope[1:] + envelope[:-1]) / 2 * np.diff(_RECALLS)).sum())


def _smooth(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box filter over a tenth of the curve, as ultralytics picks its confidence."""
    width = round(len(curve) * _SMOOTHING * 2) // 2 + 1
    edge = np.ones(width // 2)
    padded = np.concatenate((edge * curve[0], curve, edge * curve[-1]))
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
