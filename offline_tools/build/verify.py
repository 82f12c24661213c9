# SPDX-License-Identifier: AGPL-3.0-only
"""Does a plan return the rows of the ONNX that it was built from, on real frames?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.contract import Engine
from cone_detector.engine.manifest import Precision

# Rows below this score reach no consumer: the lowest confidence that settings allow to matter lies above it.
SCORE_FLOOR = 0.25
BOX_LIMIT_PX = 2.0
SCORE_LIMIT = 0.02
# Shares of reference rows that must be met. INT8 changes scores by design: its mAP is judged by `cone-tools evaluate`.
SHARE_WITHIN_LIMITS: dict[Precision, float] = {"fp32": 0.995, "fp16": 0.995, "int8": 0.0}
SHARE_FOUND: dict[Precision, float] = {"fp32": 1.0, "fp16": 0.995, "int8": 0.9}
# A partner further away than this is another cone.
_PARTNER_PX = 16.0


@dataclass(frozen=True)
class Agreement:
    """How a plan's rows compare with the reference's, over those at or above SCORE_FLOOR in the reference.

    found: rows with a partner of the same class nearby. box_px, score: largest difference of a box side in canvas
    pixels and of the score, one a partner. frames: images compared.
    """

    frames: int
    rows: int
    box_px: NDArray[np.float32]
    score: NDArray[np.float32]

    @property
    def found(self) -> float:
        return len(self.box_px) / self.rows if self.rows else 1.0

    @property
    def within_limits(self) -> float:
        """Share of the rows whose partner lies within BOX_LIMIT_PX and SCORE_LIMIT."""
        if not self.rows:
            return 1.0
        return float(np.sum((self.box_px <= BOX_LIMIT_PX) & (self.score <= SCORE_LIMIT)) / self.rows)

    def shortfall(self, precision: Precision) -> str | None:
        """What a plan of that precision falls short of; None where it passes."""
        if not self.rows:
            return f"no row of the reference reaches a score of {SCORE_FLOOR}: give frames that show cones"
        if self.found < SHARE_FOUND[precision]:
            return f"{self.found:.1%} of the reference's rows are found, must be {SHARE_FOUND[precision]:.1%}"
        if self.within_limits < SHARE_WITHIN_LIMITS[precision]:
            return (
                f"{self.within_limits:.1%} of the rows lie within {BOX_LIMIT_PX} px and {SCORE_LIMIT} of the "
                f"reference's, must be {SHARE_WITHIN_LIMITS[precision]:.1%}"
            )
        return None

    def __str__(self) -> str:
        if not len(self.box_px):
            return f"{self.frames} images, {self.rows} rows, none found"
        return (
            f"{self.frames} images, {self.rows} rows, {self.found:.2%} found, {self.within_limits:.2%} within limits; "
            f"box p99 {np.percentile(self.box_px, 99):.2f} px, largest {self.box_px.max():.2f} px; "
            f"score p99 {np.percentile(self.score, 99):.4f}, largest {self.score.max():.4f}"
        )


def compare(reference: Sequence[NDArray[np.float32]], rows: Sequence[NDArray[np.float32]]) -> Agreement:
    """Compares rows, both lists of (2, K, 6), frame by frame."""
    total = 0
    boxes: list[NDArray[np.float32]] = []
    scores: list[NDArray[np.float32]] = []
    pairs = [(r, c) for rs, cs in zip(reference, rows, strict=True) for r, c in zip(rs, cs, strict=True)]
    for wanted, candidates in pairs:
        wanted = wanted[wanted[:, 4] >= SCORE_FLOOR]
        total += len(wanted)
        # (N, K): the largest difference of a side; another class is no partner.
        sides = np.abs(wanted[:, None, :4] - candidates[None, :, :4]).max(axis=2)
        sides[wanted[:, None, 5] != candidates[None, :, 5]] = np.inf
        difference = np.abs(wanted[:, None, 4] - candidates[None, :, 4])
        # Neighbouring anchors predict the same cone: among them the nearest in box and score is the same anchor.
        partner = (sides / BOX_LIMIT_PX + difference / SCORE_LIMIT).argmin(axis=1)
        index = np.arange(len(wanted))
        near = sides[index, partner] <= _PARTNER_PX
        boxes.append(sides[index, partner][near])
        scores.append(difference[index, partner][near])
    empty = np.zeros(0, np.float32)
    return Agreement(len(pairs), total, np.concatenate((empty, *boxes)), np.concatenate((empty, *scores)))


def run_rows(engine: Engine, name: str, frames: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
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
