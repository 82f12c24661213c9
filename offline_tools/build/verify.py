# SPDX-License-Identifier: AGPL-3.0-only
"""Does a plan return the rows of the ONNX that it was built from, on real frames?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.contract import Engine
from cone_detector.engine.manifest import Precision, read_manifest
from cone_detector.engine.openvino import OpenVinoEngine
from cone_detector.engine.tensorrt import TensorRtEngine

# Rows below this score reach no consumer: the lowest confidence that settings allow to matter lies above it.
SCORE_FLOOR = 0.25
BOX_LIMIT_PX = 2.0
SCORE_LIMIT = 0.02
# A partner further away is another cone; one whose score lies further below is background that the plan calls a cone.
_PARTNER_PX = 16.0
_PARTNER_SCORE = 0.15


@dataclass(frozen=True)
class Limits:
    """What a plan must keep.

    found, within: smallest shares of the reference's rows that have a partner at all, and one within box_px and score.
    invented: largest share of the plan's rows that the reference has not.
    """

    found: float
    within: float
    invented: float
    box_px: float = BOX_LIMIT_PX
    score: float = SCORE_LIMIT


# INT8 moves boxes and scores by design: YOLO11n's plan for 640 by 1.6 px and 0.07 in the worst hundredth of its rows
# (docs/benchmarks/h200.json). Its limits tell a working plan from a broken one; `cone-tools evaluate` tells its mAP.
LIMITS: dict[Precision, Limits] = {
    "fp32": Limits(found=1.0, within=0.995, invented=0.005),
    "fp16": Limits(found=0.995, within=0.995, invented=0.005),
    "int8": Limits(found=0.9, within=0.9, invented=0.1, box_px=6.0, score=0.15),
}


@dataclass(frozen=True)
class Agreement:
    """How a plan's rows compare with the reference's, over those at or above SCORE_FLOOR in the reference.

    found: rows with a partner of the same class nearby. box_px, score: largest difference of a box side in canvas
    pixels and of the score, one a partner. frames: images compared. invented: share of the plan's rows at or above
    SCORE_FLOOR that no row of the reference has, neither nearby nor nearly as sure.
    """

    frames: int
    rows: int
    box_px: NDArray[np.float32]
    score: NDArray[np.float32]
    invented: float

    @property
    def found(self) -> float:
        return len(self.box_px) / self.rows if self.rows else 1.0

    @property
    def within_limits(self) -> float:
        """Share of the rows whose partner lies within BOX_LIMIT_PX and SCORE_LIMIT."""
        return self.within(BOX_LIMIT_PX, SCORE_LIMIT)

    def within(self, box_px: float, score: float) -> float:
        """Share of the rows whose partner lies within these differences."""
        if not self.rows:
            return 1.0
        return float(np.sum((self.box_px <= box_px) & (self.score <= score)) / self.rows)

    def shortfall(self, precision: Precision) -> str | None:
        """What a plan of that precision falls short of; None where it passes."""
        if not self.rows:
            return f"no row of the reference reaches a score of {SCORE_FLOOR}: give frames that show cones"
        limits = LIMITS[precision]
        if self.found < limits.found:
            return f"{self.found:.1%} of the reference's rows are found, must be {limits.found:.1%}"
        if (within := self.within(limits.box_px, limits.score)) < limits.within:
            return (
                f"{within:.1%} of the rows lie within {limits.box_px:g} px and {limits.score:g} of the reference's, "
                f"must be {limits.within:.1%}"
            )
        if self.invented > limits.invented:
            return f"{self.invented:.1%} of the plan's rows are not the reference's, may be {limits.invented:.1%}"
        return None

    def __str__(self) -> str:
        if not len(self.box_px):
            return f"{self.frames} images, {self.rows} rows, none found"
        return (
            f"{self.frames} images, {self.rows} rows, {self.found:.2%} found, {self.within_limits:.2%} within "
            f"{BOX_LIMIT_PX:g} px and {SCORE_LIMIT:g}, {self.invented:.2%} invented; "
            f"box p99 {np.percentile(self.box_px, 99):.2f} px, largest {self.box_px.max():.2f} px; "
            f"score p99 {np.percentile(self.score, 99):.4f}, largest {self.score.max():.4f}"
        )


def compare_plan(plan: Path, reference: Path, frames: Sequence[NDArray[np.uint8]]) -> Agreement:
    """Runs a plan, and its float ONNX under OpenVINO, on canvases (2, H, W, 3), and compares their rows.

    plan, reference: manifests. Raises ManifestError, and EngineError where one of them does not run here.
    """
    name = read_manifest(plan).name
    rows = []
    for engine in (OpenVinoEngine([reference], slots=1), TensorRtEngine([plan], slots=1)):
        rows.append(_run_rows(engine, name, frames))
        engine.close()
    return compare(*rows)


def compare(reference: Sequence[NDArray[np.float32]], rows: Sequence[NDArray[np.float32]]) -> Agreement:
    """Compares rows, both lists of (2, K, 6), frame by frame."""
    total = own = invented = 0
    boxes: list[NDArray[np.float32]] = []
    scores: list[NDArray[np.float32]] = []
    pairs = [(r, c) for rs, cs in zip(reference, rows, strict=True) for r, c in zip(rs, cs, strict=True)]
    for wanted, candidates in pairs:
        sides, difference = _differences(wanted, candidates)
        claimed = candidates[:, 4] >= SCORE_FLOOR
        own += int(claimed.sum())
        known = ((sides <= _PARTNER_PX) & (difference <= _PARTNER_SCORE)).any(axis=0)
        invented += int(np.sum(claimed & ~known))
        sure = wanted[:, 4] >= SCORE_FLOOR
        sides, difference = sides[sure], difference[sure]
        total += len(sides)
        # Neighbouring anchors predict the same cone: among them the nearest in box and score is the same anchor.
        partner = (sides / BOX_LIMIT_PX + difference / SCORE_LIMIT).argmin(axis=1)
        index = np.arange(len(sides))
        near = sides[index, partner] <= _PARTNER_PX
        boxes.append(sides[index, partner][near])
        scores.append(difference[index, partner][near])
    empty = np.zeros(0, np.float32)
    return Agreement(
        len(pairs), total, np.concatenate((empty, *boxes)), np.concatenate((empty, *scores)), invented / max(own, 1)
    )


def _differences(
    wanted: NDArray[np.float32], candidates: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each two rows, (N, K): the largest difference of a side, infinite between classes, and that of the score."""
    sides = np.abs(wanted[:, None, :4] - candidates[None, :, :4]).max(axis=2)
    sides[wanted[:, None, 5] != candidates[None, :, 5]] = np.inf
    return sides, np.abs(wanted[:, None, 4] - candidates[None, :, 4])


def _run_rows(engine: Engine, name: str, frames: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    """Rows (2, K, 6) of pass `name` for each canvas; a pass over a strip looks at the middle of it."""
    manifest = engine.manifests[name]
    top = (manifest.canvas[1] - manifest.strip) // 2 if manifest.strip else 0
    rows = []
    for frame in frames:
        engine.slots[0][...] = frame
        if name in engine.close_ups:
            # Any pixels will do, as both engines get the same: those of the canvas, magnified.
            for strip, close_up in zip(frame[:, top : top + manifest.strip], engine.close_ups[name], strict=True):
                cv2.resize(strip, manifest.input_size, dst=close_up)
        rows.append(engine.infer(name, 0, top=(top, top)).copy())
    return rows
