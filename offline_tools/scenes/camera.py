# SPDX-License-Identifier: AGPL-3.0-only
"""Pinhole cameras with one-parameter lens distortion, and the rectified stereo pair made of two of them.

Frames: the world is x, y on the ground and z up, metres. A camera's optical frame is x right, y down, z forward.
Pixel coordinates have (0, 0) at the centre of the upper left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np


@dataclass(frozen=True)
class Intrinsics:
    """Image size and lens of one camera.

    Args:
        width, height: image size in pixels.
        fx, fy, cx, cy: focal lengths and principal point in pixels.
        distortion: lambda of the division model, r_u = r_d / (1 + lambda r_d^2) in normalised coordinates; 0 for a
            rectified image, negative for a barrel. It inverts in closed form (Fitzgibbon, CVPR 2001).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: float = 0.0

    def scaled(self, factor: float) -> Intrinsics:
        """The same lens on an image resized by `factor`."""
        return replace(
            self,
            width=round(self.width * factor),
            height=round(self.height * factor),
            fx=self.fx * factor,
            fy=self.fy * factor,
            cx=(self.cx + 0.5) * factor - 0.5,
            cy=(self.cy + 0.5) * factor - 0.5,
        )


ZED_2I_720P = Intrinsics(width=1280, height=720, fx=700.0, fy=700.0, cx=640.0, cy=360.0)
"""Nominal rectified ZED 2i at HD720."""

ZED_2I_BASELINE_M = 0.12


@dataclass(frozen=True, eq=False)
class Camera:
    """A lens at a place: `rotation` (3, 3) turns optical coordinates into world ones, `position` (3,) is in metres."""

    intrinsics: Intrinsics
    rotation: np.ndarray
    position: np.ndarray

    def to_optical(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in the optical frame."""
        return (points - self.position) @ self.rotation

    def project_optical(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of optical points (..., 3); only meaningful where z > 0."""
        lens = self.intrinsics
        depth = np.maximum(points[..., 2], 1e-6)
        x, y = points[..., 0] / depth, points[..., 1] / depth
        if lens.distortion:
            square = x * x + y * y
            scale = 2.0 / (1.0 + np.sqrt(np.maximum(1.0 - 4.0 * lens.distortion * square, 0.0)))
            x, y = x * scale, y * scale
        return np.stack([x * lens.fx + lens.cx, y * lens.fy + lens.cy], axis=-1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of world points (..., 3)."""
        return self.project_optical(self.to_optical(points))

    def rays(self) -> np.ndarray:
        """World directions (height, width, 3) float32 of all pixel centres, with optical z = 1 before rotation."""
        return cv2.transform(optical_rays(self.intrinsics), self.rotation.astype(np.float32))

    def shifted(self, right_m: float) -> Camera:
        """The same camera moved along its own x axis: the right eye of a rectified pair."""
        return replace(self, position=self.position + self.rotation[:, 0] * right_m)


@lru_cache(maxsize=4)
def optical_rays(lens: Intrinsics) -> np.ndarray:
    """Optical directions (height, width, 3) float32 of all pixel centres, z = 1."""
    x = (np.arange(lens.width, dtype=np.float32) - lens.cx) / lens.fx
    y = (np.arange(lens.height, dtype=np.float32) - lens.cy) / lens.fy
    rays = np.ones((lens.height, lens.width, 3), np.float32)
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    if lens.distortion:
        square = (rays[..., 0] ** 2 + rays[..., 1] ** 2) * np.float32(lens.distortion)
        rays[..., :2] /= np.maximum(1.0 + square, 0.05)[..., None]
    return rays


def look_along(
    intrinsics: Intrinsics, position: np.ndarray, heading: float, pitch: float = 0.0, roll: float = 0.0
) -> Camera:
    """A camera at `position` (3,) that looks along `heading`.

    Args:
        heading: radians from the world's x axis towards y.
        pitch: radians, positive looks down.
        roll: radians, positive turns the camera clockwise as seen from behind it.
    """
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    down = np.cross(forward, right)
    rolled = right * np.cos(roll) + down * np.sin(roll)
    rotation = np.stack([rolled, np.cross(forward, rolled), forward], axis=1)
    return Camera(intrinsics, rotation, np.asarray(position, dtype=float))
