# SPDX-License-Identifier: Apache-2.0
"""An engine whose rows a test decides, for what must be tested without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.engine.contract import ROWS, EngineError, PassTimes
from cone_detector.engine.manifest import Manifest, Runtime

CANVAS = (640, 384)

MANIFEST_320 = Manifest(
    model="table",
    name="320",
    file="table-320.onnx",
    file_sha256="0" * 64,
    onnx_sha256="0" * 64,
    classes=CLASS_NAMES,
    canvas=CANVAS,
    network=(320, 192),
    camera_aspect=(16, 9),
    precision="fp32",
    nms=True,
    qdq=False,
    runtime=Runtime("onnx", "opset 17"),
)
MANIFEST_640 = replace(MANIFEST_320, name="640", file="table-640.onnx", network=(640, 384))
MANIFEST_BAND = replace(MANIFEST_320, name="band", file="table-band.onnx", network=(768, 96), strip=80)
MANIFEST_ZOOM = replace(MANIFEST_320, name="zoom", file="table-zoom.onnx", network=(1280, 128), strip=64)
ALL_PASSES = (MANIFEST_320, MANIFEST_640, MANIFEST_BAND, MANIFEST_ZOOM)


def rows_of(*cones: tuple[float, float, float, float, float, int]) -> NDArray[np.float32]:
    """Contract rows of one image: the cones, sorted by score, then zeros."""
    rows = np.zeros((ROWS, 6), np.float32)
    for row, cone in zip(rows, sorted(cones, key=lambda c: -c[4]), strict=False):
        row[:] = cone
    return rows


Answer = Callable[[str, NDArray[np.uint8]], NDArray[np.float32]]


class TableEngine:
    """Answers each pass with `answer(name, canvas)`, (2, ROWS, 6); raises EngineError where that returns None."""

    def __init__(
        self, answer: Answer, slots: int = 8, nms: bool = True, passes: Iterable[Manifest] = ALL_PASSES
    ) -> None:
        self.manifests = {m.name: replace(m, nms=nms) for m in passes}
        self.slots = tuple(np.zeros((2, CANVAS[1], CANVAS[0], 3), np.uint8) for _ in range(slots))
        self.close_ups = {
            m.name: np.zeros((2, *m.input_size[::-1], 3), np.uint8) for m in self.manifests.values() if m.magnified > 1
        }
        self.times = PassTimes()
        self.device = "table"
        self.off_cpu = True
        self.notes: tuple[str, ...] = ()
        self.passes: list[str] = []
        self.tops: list[tuple[int, int]] = []
        self.uploads = 0
        self.closed = False
        self._answer = answer

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        self.passes.append(name)
        self.tops.append(top)
        self.uploads += fresh
        rows = self._answer(name, self.slots[slot])
        if rows is None:
            raise EngineError("the table has no answer")
        return rows

    def close(self) -> None:
        self.closed = True
