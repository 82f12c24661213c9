# SPDX-License-Identifier: Apache-2.0
"""Rigid coordinate frames and the way from one to another, as tf states them: child to parent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class RigidTransform:
    """Takes a point p to `rotation @ p + translation`. rotation: (3, 3). translation: (3,), metres."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def identity(cls) -> RigidTransform:
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, xyzw: ArrayLike, translation: ArrayLike) -> RigidTransform:
        """xyzw: quaternion, of any length but zero. Raises ValueError where it has none."""
        q = np.asarray(xyzw, np.float64)
        length = float(np.linalg.norm(q))
        if not np.isfinite(length) or length < 1e-6:
            raise ValueError(f"quaternion {q.tolist()} has no direction")
        x, y, z, w = q / length
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, np.asarray(translation, np.float64))

    def after(self, first: RigidTransform) -> RigidTransform:
        """`first`, then this one."""
        return RigidTransform(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)

    def inverse(self) -> RigidTransform:
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)


class FrameTree:
    """Frames that are fixed to each other."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, RigidTransform]] = {}

    def set(self, parent: str, child: str, child_to_parent: RigidTransform) -> None:
        """States, or restates, where `child` sits in `parent`."""
        self._parents[child] = (parent, child_to_parent)

    def find(self, source: str, target: str) -> RigidTransform | None:
        """What takes a point from frame `source` to frame `target`; None where no chain joins them."""
        to_ancestor = self._ancestors(source)
        for ancestor, from_target in self._ancestors(target).items():
            if ancestor in to_ancestor:
                return from_target.inverse().after(to_ancestor[ancestor])
        return None

    def _ancestors(self, frame: str) -> dict[str, RigidTransform]:
        """Each frame from `frame` up to the root, with what takes a point from `frame` there. A cycle ends the walk."""
        found = {frame: RigidTransform.identity()}
        so_far = found[frame]
        while frame in self._parents:
            frame, step = self._parents[frame]
            if frame in found:
                break
            so_far = step.after(so_far)
            found[frame] = so_far
        return found
