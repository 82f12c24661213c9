# SPDX-License-Identifier: AGPL-3.0-only
"""Quad meshes and their drawing: painter's order, supersampled, straight into a small premultiplied tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from offline_tools.scenes.camera import Camera
from offline_tools.scenes.light import Light

SUBPIXEL_BITS = 4


@dataclass(frozen=True, eq=False)
class Mesh:
    """Quads with one material each.

    Args:
        vertices: (V, 3) metres, world frame.
        quads: (Q, 4) vertex indices, anticlockwise seen from outside.
        albedo: (Q, 3) linear BGR.
        gloss: (Q,) strength of the specular highlight, 0..1.
    """

    vertices: np.ndarray
    quads: np.ndarray
    albedo: np.ndarray
    gloss: np.ndarray

    @cached_property
    def centres(self) -> np.ndarray:
        """Quad centres (Q, 3)."""
        return self.vertices[self.quads].mean(axis=1)

    @cached_property
    def normals(self) -> np.ndarray:
        """Outward unit normals (Q, 3)."""
        corner = self.vertices[self.quads]
        normal = np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1])
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True, eq=False)
class Patch:
    """A drawn body: premultiplied linear BGR + coverage (h, w, 4) float32 whose upper left pixel is (x, y).

    `depth` is the mean distance along the optical axis, in metres. The patch may reach beyond the image.
    """

    pixels: np.ndarray
    x: int
    y: int
    depth: float


def loft(rings: np.ndarray, closed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Skins rings of points.

    Args:
        rings: (R, M, 3), each ring anticlockwise about the direction in which the rings go on.

    Returns:
        vertices (R*M, 3) and quads ((R-1)*M, 4), or ((R-1)*(M-1), 4) for open rings.
    """
    ring_count, points = rings.shape[:2]
    span = points if closed else points - 1
    row = np.arange(ring_count - 1)[:, None] * points
    here = np.arange(span)[None, :]
    there = (here + 1) % points
    quads = np.stack([row + here, row + there, row + points + there, row + points + here], axis=-1)
    return rings.reshape(-1, 3), quads.reshape(-1, 4)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.quads + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.albedo for mesh in meshes]),
        np.concatenate([mesh.gloss for mesh in meshes]),
    )


def draw(camera: Camera, mesh: Mesh, radiance: np.ndarray, supersample: int, margin: int = 400) -> Patch | None:
    """Draws a mesh that is seen from outside.

    Args:
        radiance: (Q, 3) linear BGR of each quad.
        supersample: samples a pixel along each axis.
        margin: how far beyond the image the patch may reach, in pixels; what lies farther is cut off.

    Returns:
        The patch, or None where nothing lies before the camera or within the margin.
    """
    optical = camera.to_optical(mesh.vertices)
    near = optical[mesh.quads, 2].min(axis=1) > 0.15
    pixels = camera.project_optical(optical)
    corner = pixels[mesh.quads]
    first, second = corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]
    # Pixel y points down, so an outward anticlockwise quad turns clockwise on the image: a negative cross product.
    keep = near & (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0)
    if not keep.any():
        return None
    corner, depth, radiance = corner[keep], optical[mesh.quads[keep], 2].mean(axis=1), radiance[keep]
    lens = camera.intrinsics
    low = np.maximum(np.floor(corner.min(axis=(0, 1))).astype(int), -margin)
    high = np.minimum(np.ceil(corner.max(axis=(0, 1))).astype(int) + 1, [lens.width + margin, lens.height + margin])
    width, height = high - low
    if width <= 0 or height <= 0:
        return None
    order = np.argsort(-depth, kind="stable")
    sub = (corner[order] - low + 0.5) * supersample - 0.5
    fixed = np.round(sub * (1 << SUBPIXEL_BITS)).astype(np.int32)
    index = np.zeros((height * supersample, width * supersample), np.float32)
    for number, quad in enumerate(fixed, start=1):
        cv2.fillConvexPoly(index, quad, float(number), lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)
    table = np.zeros((len(order) + 1, 4), np.float32)
    table[1:, :3] = radiance[order]
    table[1:, 3] = 1.0
    tile = cv2.resize(table[index.astype(np.int32)], (int(width), int(height)), interpolation=cv2.INTER_AREA)
    return Patch(tile, int(low[0]), int(low[1]), float(depth.mean()))


def shade(mesh: Mesh, camera_position: np.ndarray, light: Light, shadow: np.ndarray | float) -> np.ndarray:
    """Radiance (Q, 3) of each quad: sun, sky from above, bounce from the ground, and a plastic highlight.

    Args:
        camera_position: (3,) world frame.
        shadow: share of the sun that is blocked, scalar or (Q,).
    """
    normal = mesh.normals
    facing = normal @ light.sun_direction
    # Thin PVC lets a little light through: the terminator is wrapped by 15 %.
    direct = np.maximum((facing + 0.15) / 1.15, 0.0) * (1.0 - shadow)
    upward = 0.5 + 0.5 * normal[:, 2]
    bounce = 0.22 * light.level
    irradiance = direct[:, None] * light.sun + upward[:, None] * light.sky + (1 - upward)[:, None] * bounce
    view = camera_position - mesh.centres
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    half = view + light.sun_direction
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-9)
    highlight = np.maximum((normal * half).sum(axis=1), 0.0) ** 40 * (facing > 0) * (1.0 - shadow) * 0.5
    rim = 0.04 + 0.25 * (1.0 - np.clip((normal * view).sum(axis=1), 0, 1)) ** 5
    gloss = (mesh.gloss * highlight)[:, None] * light.sun + (mesh.gloss * rim)[:, None] * light.horizon
    return (mesh.albedo * irradiance + gloss).astype(np.float32)
