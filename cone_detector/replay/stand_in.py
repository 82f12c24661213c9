# SPDX-License-Identifier: Apache-2.0
"""An engine that waits as long as a GPU takes and returns a fixed answer: to measure everything around the network."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.engine.contract import ROWS, PassTimes
from cone_detector.engine.manifest import Manifest, Runtime
from cone_detector.letterbox import PADDING_VALUE

CANVAS = (640, 384)

# A track as the car sees it: x and y of the base's middle and height of each cone in canvas pixels of the left image,
# disparity, class. Heights and disparities are those of 0.325 m cones seen by a ZED 2i (fx 350 on this canvas, 0.12 m).
_TRACK = tuple(
    (320 + side * 700 / depth, 192 + 350 * 0.8 / depth, 350 * 0.325 / depth, 350 * 0.12 / depth, label)
    for depth in (3.0, 4.5, 6.0, 8.0, 11.0, 15.0)
    for side, label in ((-1, 0), (1, 4))
)


class StandInEngine:
    """See `contract.Engine`. A pass sleeps, as a thread does that waits for a GPU, and finds twelve cones."""

    def __init__(self, latency_ms: float, slots: int) -> None:
        self.manifests: Mapping[str, Manifest] = {
            name: _manifest(name, scale) for name, scale in (("320", 2), ("640", 1))
        }
        width, height = CANVAS
        self.slots: tuple[NDArray[np.uint8], ...] = tuple(
            np.full((2, height, width, 3), PADDING_VALUE, np.uint8) for _ in range(slots)
        )
        self.close_ups: Mapping[str, NDArray[np.uint8]] = {}
        self.times = PassTimes(compute_ms=latency_ms)
        self.off_cpu = True
        self.device = f"stand-in, {latency_ms:g} ms a pass"
        self.notes: tuple[str, ...] = ()
        self._latency_s = latency_ms / 1e3
        self._rows = _rows()

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        time.sleep(self._latency_s)
        return self._rows

    def close(self) -> None:
        pass


def _rows() -> NDArray[np.float32]:
    """(2, ROWS, 6) float32: the track in both images, then rows without score."""
    rows = np.zeros((2, ROWS, 6), np.float32)
    for n, (x, foot, height, disparity, label) in enumerate(_TRACK):
        for side in (0, 1):
            middle, half_width = x - side * disparity, height * 0.35
            rows[side, n] = (middle - half_width, foot - height, middle + half_width, foot, 0.95 - 0.01 * n, label)
    return rows


def _manifest(name: str, scale: int) -> Manifest:
    return Manifest(
        model="stand_in",
        name=name,
        file="none",
        file_sha256="",
        onnx_sha256="",
        classes=CLASS_NAMES,
        canvas=CANVAS,
        network=(CANVAS[0] // scale, CANVAS[1] // scale),
        camera_aspect=(16, 9),
        precision="fp32",
        nms=True,
        qdq=False,
        runtime=Runtime("onnx"),
    )
