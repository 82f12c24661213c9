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

    def near(self, other: RigidTransform) -> bool:
        """Whether both are the same but for a broadcaster's noise: 1 cm, and 0.01 of a unit vector (0.6 degrees)."""
        return bool(
            np.allclose(self.translation, other.translation, rtol=0, atol=0.01)
            and np.allclose(self.rotation, other.rotation, rtol=0, atol=0.01)
        )


@dataclass(frozen=True)
class Link:
    """Where `child` sits in `parent`. static: whether that was stated once and for all; `moved`: seen not to hold."""

    parent: str
    child: str
    child_to_parent: RigidTransform
    static: bool
    moved: bool = False


@dataclass(frozen=True)
class Chain:
    """The way from one frame to another. transform: takes points along it. links: all that it goes through."""

    transform: RigidTransform
    links: tuple[Link, ...]

    @property
    def static(self) -> bool:
        return all(link.static for link in self.links)

    @property
    def moved(self) -> Link | None:
        """A link that joins no two frames that are fixed to each other; None where all seem to."""
        return next((link for link in self.links if link.moved), None)


class FrameTree:
    """Frames, each in its parent."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        # Of links that are not static, as first stated: from one statement to the next a slow car hardly moves.
        self._first: dict[str, RigidTransform] = {}

    def set(self, parent: str, child: str, child_to_parent: RigidTransform, static: bool = True) -> None:
        """States, or restates, where `child` sits in `parent`. static: it will stay there."""
        moved = False
        if not static:
            before = self._links.get(child)
            if before is None or before.static or before.parent != parent:
                self._first[child] = child_to_parent
            else:
                moved = before.moved or not child_to_parent.near(self._first[child])
        self._links[child] = Link(parent, child, child_to_parent, static, moved)

    def find(self, source: str, target: str) -> Chain | None:
        """What takes a point from frame `source` to frame `target`; None where no chain joins them."""
        to_ancestor = self._ancestors(source)
        for ancestor, from_target in self._ancestors(target).items():
            if ancestor in to_ancestor:
                up = to_ancestor[ancestor]
                transform = from_target.transform.inverse().after(up.transform)
                return Chain(transform, up.links + from_target.links)
        return None

    def _ancestors(self, frame: str) -> dict[str, Chain]:
        """Each frame from `frame` up to the root, with the way there. A cycle ends the walk."""
        so_far = Chain(RigidTransform.identity(), ())
        found = {frame: so_far}
        while (link := self._links.get(frame)) is not None and link.parent not in found:
            so_far = Chain(link.child_to_parent.after(so_far.transform), (*so_far.links, link))
            frame = link.parent
            found[frame] = so_far
        return found
