# SPDX-License-Identifier: AGPL-3.0-only
"""Draws a scene for one camera, with the truth about every cone in view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline_tools.scenes.background import draw_background
from offline_tools.scenes.camera import Camera
from offline_tools.scenes.cones import Cone, cone_mesh, self_shadow
from offline_tools.scenes.ground import GroundView, large_shadow, render_ground
from offline_tools.scenes.light import Light
from offline_tools.scenes.markings import with_car_shadow
from offline_tools.scenes.mesh import Mesh, Patch, draw, joined, shade
from offline_tools.scenes.scene import Scene
from offline_tools.scenes.sky import render_sky

NEAREST_M = 0.5
FARTHEST_M = 70.0


@dataclass(frozen=True, eq=False)
class ConeView:
    """A cone in one picture.

    Args:
        cone: its index in the scene.
        class_index: FSOCO order.
        position: (3,) centre of its base in the camera's optical frame, metres.
        full_box: x1, y1, x2, y2 of the whole cone in pixel edges (0 is the left edge of the first pixel),
            also where it is hidden or beyond the image.
        box: the same of the part that is seen.
        visibility: seen share of its pixels, 0 to 1.
    """

    cone: int
    class_index: int
    position: np.ndarray
    full_box: np.ndarray
    box: np.ndarray
    visibility: float


def render_view(
    scene: Scene, camera: Camera, car_pose: tuple[float, float, float]
) -> tuple[np.ndarray, list[ConeView]]:
    """Draws the scene.

    Args:
        car_pose: x, y (metres) and heading (radians) of the car's frame in the world.

    Returns:
        Radiance (H, W, 3) float32 linear BGR, and the cones before the camera, near ones first.
    """
    light = scene.light
    view = GroundView(camera)
    image = np.empty((camera.intrinsics.height, camera.intrinsics.width, 3), np.float32)
    horizon = min(view.top + int((~view.is_ground).any(axis=1).sum()) + 1, len(image))
    # The sky is smooth: every second pixel is enough, and four times cheaper.
    coarse = render_sky(view.rays[: horizon + 1 : 2, ::2], light, scene.ground.seed)
    image[:horizon] = cv2.resize(coarse, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)[:horizon, : image.shape[1]]
    parts = scene.car.placed(*car_pose) if scene.car is not None else ()
    ground = render_ground(view, scene.ground, with_car_shadow(scene.markings, parts, light), light)
    mixed = slice(0, max(horizon - view.top, 0))
    ground[mixed] = np.where(view.is_ground[mixed, :, None], ground[mixed], image[view.top : horizon])
    image[view.top :] = ground
    draw_background(image, camera, scene.background, light)
    if light.wetness:
        _mirror_background(image, view, light.wetness)
    body = _draw_car(parts, camera, light)
    drawn = _draw_cones(scene, camera)
    if light.wetness:
        for _, _, _, reflection in drawn:
            if reflection is not None:
                _composite(image, reflection)
    views = _truth(image.shape[:2], drawn, body)
    for _, _, patch, _ in reversed(drawn):
        _composite(image, patch)
    if body is not None:
        _composite(image, body)
    return image, views


_Drawn = tuple[ConeView, np.ndarray, Patch, Patch | None]


def _draw_cones(scene: Scene, camera: Camera) -> list[_Drawn]:
    """The cones before the camera, near ones first: view, projected vertices, patch, reflection."""
    cones, light = scene.cones, scene.light
    bases = np.array([[cone.x, cone.y, 0.0] for cone in cones]).reshape(-1, 3)
    optical = camera.to_optical(bases)
    shaded = large_shadow(scene.ground, light, bases[:, 0].astype(np.float32), bases[:, 1].astype(np.float32))
    drawn: list[_Drawn] = []
    for index in np.argsort(optical[:, 2]):
        depth = optical[index, 2]
        if not NEAREST_M < depth < FARTHEST_M:
            continue
        cone = cones[index]
        pixels = camera.intrinsics.fy * cone.shape.height / depth
        if _beyond(camera, optical[index], cone):
            continue
        mesh, occlusion = cone_mesh(cone, pixels)
        vertices = camera.project(mesh.vertices)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        if (high < 0).any() or (low > [camera.intrinsics.width, camera.intrinsics.height]).any():
            continue
        radiance = _cone_radiance(cone, mesh, occlusion, camera, scene, float(shaded[index]), float(depth))
        supersample = 6 if pixels < 40 else 4 if pixels < 110 else 3
        patch = draw(camera, mesh, radiance, supersample)
        if patch is None:
            continue
        box = np.concatenate([low, high]) + 0.5
        view = ConeView(int(index), cone.class_index, optical[index], box, box, 0.0)
        reflection = _reflection(camera, mesh, radiance, light.wetness) if light.wetness else None
        drawn.append((view, vertices, patch, reflection))
    return drawn


def _beyond(camera: Camera, base: np.ndarray, cone: Cone) -> bool:
    """Whether a ball around the cone lies beside the image, which saves building its surface."""
    reach = 1.2 * max(cone.shape.height, cone.shape.base)
    pixel = camera.project_optical(base)
    margin = camera.intrinsics.fx * reach / max(base[2] - reach, 0.1)
    lens = camera.intrinsics
    return bool((pixel < -margin).any() or (pixel > [lens.width + margin, lens.height + margin]).any())


def _cone_radiance(
    cone: Cone, mesh: Mesh, occlusion: np.ndarray, camera: Camera, scene: Scene, shaded: float, depth: float
) -> np.ndarray:
    blocked = np.maximum(self_shadow(cone, mesh.centres, scene.light), shaded)
    radiance = shade(mesh, camera.position, scene.light, blocked) * (1.0 - occlusion)[:, None].astype(np.float32)
    haze = 1.0 - np.exp(-depth / 700.0)
    return radiance + np.float32(haze) * ((scene.light.horizon * 0.75).astype(np.float32) - radiance)


def _reflection(camera: Camera, mesh: Mesh, radiance: np.ndarray, wetness: float) -> Patch | None:
    mirrored = Mesh(mesh.vertices * [1, 1, -1], mesh.quads[:, ::-1], mesh.albedo, mesh.gloss)
    patch = draw(camera, mirrored, radiance, 2)
    if patch is None:
        return None
    blurred = cv2.GaussianBlur(patch.pixels, (0, 0), sigmaX=0.8, sigmaY=max(1.0, len(patch.pixels) / 14))
    return Patch(blurred * np.float32(0.35 * wetness), patch.x, patch.y, patch.depth)


def _draw_car(parts: tuple[Mesh, ...], camera: Camera, light: Light) -> Patch | None:
    if not parts:
        return None
    mesh = joined(parts)
    patch = draw(camera, mesh, shade(mesh, camera.position, light, 0.0), 2, margin=0)
    if patch is None:
        return None
    # The lens is focused on the track: the body, half a metre away, is soft.
    soft = cv2.GaussianBlur(patch.pixels, (0, 0), camera.intrinsics.fx / 600, borderType=cv2.BORDER_CONSTANT)
    return Patch(soft, patch.x, patch.y, patch.depth)


def _inside(patch: Patch, shape: tuple[int, int]) -> tuple[slice, slice, slice, slice] | None:
    """Rows and columns of the image, then of the patch, where both overlap."""
    tall, wide = patch.pixels.shape[:2]
    top, left = max(patch.y, 0), max(patch.x, 0)
    bottom, right = min(patch.y + tall, shape[0]), min(patch.x + wide, shape[1])
    if top >= bottom or left >= right:
        return None
    return (
        slice(top, bottom), slice(left, right),
        slice(top - patch.y, bottom - patch.y), slice(left - patch.x, right - patch.x),
    )  # fmt: skip


def _composite(image: np.ndarray, patch: Patch) -> None:
    overlap = _inside(patch, image.shape[:2])
    if overlap is None:
        return
    rows, columns, patch_rows, patch_columns = overlap
    pixels = patch.pixels[patch_rows, patch_columns]
    region = image[rows, columns]
    region *= 1.0 - pixels[..., 3:]
    region += pixels[..., :3]


def _truth(shape: tuple[int, int], drawn: list[_Drawn], body: Patch | None) -> list[ConeView]:
    """Visible share and visible box of every cone, from near to far over what already covers the image."""
    covered = np.zeros(shape, np.float32)
    if body is not None and (overlap := _inside(body, shape)) is not None:
        covered[overlap[0], overlap[1]] = body.pixels[overlap[2], overlap[3], 3]
    views = []
    for view, _, patch, _ in drawn:
        overlap = _inside(patch, shape)
        if overlap is None:
            continue
        rows, columns, patch_rows, patch_columns = overlap
        alpha = patch.pixels[patch_rows, patch_columns, 3]
        free = alpha * (1.0 - covered[rows, columns])
        visibility = float(free.sum() / max(float(patch.pixels[..., 3].sum()), 1e-6))
        box = np.clip(view.full_box, 0, [shape[1], shape[0], shape[1], shape[0]])
        if visibility < 0.97:
            seen = free > 0.3
            columns_seen, rows_seen = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
            if len(columns_seen):
                found = np.array([columns_seen[0], rows_seen[0], columns_seen[-1] + 1, rows_seen[-1] + 1], float)
                found += [columns.start, rows.start, columns.start, rows.start]
                box = np.concatenate([np.maximum(box[:2], found[:2]), np.minimum(box[2:], found[2:])])
            else:
                visibility = 0.0
        covered[rows, columns] = np.maximum(covered[rows, columns], alpha)
        views.append(ConeView(view.cone, view.class_index, view.position, view.full_box, box, visibility))
    return views


def _mirror_background(image: np.ndarray, view: GroundView, wetness: float) -> None:
    """Lets wet ground mirror what stands above the horizon, blurred upright as on rough asphalt."""
    rows = min(len(image) - view.top, view.top)
    if rows < 8:
        return
    above = image[view.top - rows : view.top][::-1]
    mirrored = cv2.GaussianBlur(np.ascontiguousarray(above), (0, 0), sigmaX=2, sigmaY=rows / 25)
    grazing = np.clip(view.distance[:rows] / np.float32(view.camera.position[2]), 1, 60)
    share = np.float32(0.35 * wetness) * (1.0 - 1.0 / grazing) ** 4
    # The mirror ends with the picture's upper edge; a ramp hides where.
    share = share * np.clip(np.linspace(2.0, 0.0, rows, dtype=np.float32), 0, 1)[:, None]
    region = image[view.top : view.top + rows]
    region += (share * view.is_ground[:rows])[..., None] * (mirrored - region)
