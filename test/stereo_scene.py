# SPDX-License-Identifier: Apache-2.0
"""Stereo pictures with exact truth for the stereo tests: soft-edged, striped triangles at chosen depths.

They are functions of the pixel's place, so that a shift by any part of a pixel is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.detections import Detections
from cone_detector.frames import Frame
from cone_detector.stereo.calibration import StereoCalibration

SIZE = (1280, 720)
FX, CX, CY, BASELINE = 700.0, 640.0, 360.0, 0.12
LEFT_P = np.array([[FX, 0, CX, 0], [0, FX, CY, 0], [0, 0, 1, 0]])
RIGHT_P = np.array([[FX, 0, CX, -FX * BASELINE], [0, FX, CY, 0], [0, 0, 1, 0]])
ZED_2I = StereoCalibration.from_projections(LEFT_P, RIGHT_P, SIZE)
CONE_HEIGHT, CONE_WIDTH, CAMERA_HEIGHT = 0.325, 0.228, 1.0
# From the base's centre to its near edge, as the package takes it for a base that may be turned.
NEAR_EDGE = 0.114 * 4 / np.pi


@dataclass
class StereoScene:
    """frames and detections: left, right. base: (N, 3) centres of the cones' bases in the left optical frame."""

    frames: tuple[Frame, Frame]
    detections: tuple[Detections, Detections]
    base: NDArray[np.float64]


def boxes_at(base: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 4) boxes of cones in the left and in the right image, in pixels from the image's edge."""
    x, y, z = base.T
    column, bottom = FX * x / z + CX + 0.5, FX * y / (z - NEAR_EDGE) + CY + 0.5
    width, height = FX * CONE_WIDTH / z, FX * CONE_HEIGHT / z
    left = np.stack((column - width / 2, bottom - height, column + width / 2, bottom), axis=1)
    right = left.copy()
    right[:, [0, 2]] -= (FX * BASELINE / z)[:, None]
    return left, right


def found(boxes: NDArray[np.float64], label: NDArray[np.int64] | int = 0, score: float = 0.9) -> Detections:
    labels = np.broadcast_to(np.asarray(label, np.int64), len(boxes)).copy()
    return Detections(boxes.astype(np.float32), np.full(len(boxes), score, np.float32), labels)


def cones_on_ground(depths: list[float], spread: float = 0.75) -> NDArray[np.float64]:
    """(N, 3) bases at those depths, side by side so that no two overlap."""
    z = np.array(depths, np.float64)
    slope = np.linspace(-spread, spread, len(z)) if len(z) > 1 else np.zeros(1)
    return np.stack((slope * z, np.full(len(z), CAMERA_HEIGHT), z), axis=1)


def paint(boxes: NDArray[np.float64], noise: float = 0.0, gain: float = 1.0, seed: int = 0) -> Frame:
    """A BGR picture of striped triangles that fill the boxes, on a plain ground."""
    image = np.full((SIZE[1], SIZE[0]), 90.0, np.float32)
    for x1, y1, x2, y2 in boxes - 0.5:
        width, height = x2 - x1, y2 - y1
        top, bottom = max(int(y1) - 4, 0), min(int(y2) + 5, SIZE[1])
        first, last = max(int(x1 - 6), 0), min(int(x2) + 7, SIZE[0])
        rows, columns = np.mgrid[top:bottom, first:last].astype(np.float64)
        down = (rows - y1) / height
        across = np.abs(columns - (x1 + x2) / 2) - width * (0.12 + 0.38 * np.clip(down, 0, 1))
        cover = _soft(-across) * _soft(rows - y1) * _soft(y2 - rows)
        band = np.where((down > 0.4) & (down < 0.65), 235.0, 150.0) + 25 * np.sin(6 * (columns - x1) / width)
        patch = image[top:bottom, first:last]
        patch += (cover * (band - patch)).astype(np.float32)
    image *= gain
    image += np.random.default_rng(seed).normal(0, noise, image.shape) if noise else 0
    grey = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return Frame(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


def _soft(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """An edge as a lens draws it, about a pixel wide."""
    return 1 / (1 + np.exp(-np.clip(distance * 3, -50, 50)))


def scene(depths: list[float], noise: float = 1.5, right_gain: float = 1.0) -> StereoScene:
    base = cones_on_ground(depths)
    left, right = boxes_at(base)
    frames = (paint(left, noise, 1.0, 1), paint(right, noise, right_gain, 2))
    return StereoScene(frames, (found(left), found(right)), base)
