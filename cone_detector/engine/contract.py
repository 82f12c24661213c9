# SPDX-License-Identifier: Apache-2.0
"""What every engine takes and returns, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.manifest import Manifest

INPUT_NAME = "frames"
OUTPUT_NAME = "detections"
ROWS = 300


class EngineError(RuntimeError):
    """An engine that cannot be loaded or failed to run; the message names the cause and the fix."""


@dataclass
class PassTimes:
    """Times of the last pass in milliseconds, by the device's own clock where it has one; NaN where not measured."""

    upload_ms: float = float("nan")
    compute_ms: float = float("nan")
    download_ms: float = float("nan")


class Engine(Protocol):
    """The networks of one model, one a pass ("320", "640", "band", "zoom"), over shared canvases.

    manifests: by pass name.
    slots: canvases, each (2, H, W, 3) uint8 BGR, row 0 left and row 1 right, in memory that the device reads directly.
        Whoever owns a slot writes both halves, then calls `infer`, with other passes over the same pixels if wanted.
    close_ups: by pass name, the input of a pass over a strip that is finer than the canvas, (2, h, w, 3) uint8 BGR. The
        detector writes it from the camera images before `infer`, which then reads it and not the slot.
    times: of the last `infer`.
    device: where it runs, for people ("CPU AMD EPYC", "NVIDIA GeForce RTX 4060").
    off_cpu: whether passes run elsewhere, and so are not slowed down by what else the CPU does.
    notes: what a person should know of how it runs (a CUDA graph that could not be captured, say).
    """

    manifests: Mapping[str, Manifest]
    slots: tuple[NDArray[np.uint8], ...]
    close_ups: Mapping[str, NDArray[np.uint8]]
    times: PassTimes
    device: str
    off_cpu: bool
    notes: tuple[str, ...]

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        """Runs pass `name` over `slots[slot]`.

        fresh: False where the last `infer` was over the same pixels of this slot, which then are not uploaded again.
        top: for a pass that sees a strip of the canvas, the strip's first row in the left and the right image.
        Returns (2, ROWS, 6) float32 rows of x1, y1, x2, y2 in canvas pixels, score, class, sorted by score; the
        memory is overwritten by the next `infer` of the same pass. Raises EngineError where the device fails.
        """

    def close(self) -> None:
        """Frees the device; the slots must not be used afterwards. May be called twice."""
