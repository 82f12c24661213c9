# SPDX-License-Identifier: AGPL-3.0-only
"""The sprites of the background by kind and number, made once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from offline_tools.scenes.canvas import Sprite
from offline_tools.scenes.movables import clutter, person, vehicle
from offline_tools.scenes.plants import hedge, hill, tree
from offline_tools.scenes.structures import barrier, building, pole, stand, tent

_MAKERS: dict[str, tuple[Callable[[np.random.Generator], Sprite], int]] = {
    "tree": (tree, 24), "hedge": (hedge, 10), "building": (building, 16), "vehicle": (vehicle, 18), "tent": (tent, 8),
    "barrier": (barrier, 12), "pole": (pole, 8), "person": (person, 14), "stand": (stand, 3), "hill": (hill, 8),
    "clutter": (clutter, 30),
}  # fmt: skip


def sprite(kind: str, number: int) -> Sprite:
    """One sprite of a kind; the same number always gives the same picture."""
    return _made(kind, number % _MAKERS[kind][1])


@lru_cache(maxsize=256)
def _made(kind: str, index: int) -> Sprite:
    return _MAKERS[kind][0](np.random.default_rng([index, *kind.encode()]))
