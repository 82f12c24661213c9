# SPDX-License-Identifier: AGPL-3.0-only
"""Camera images as a middleware hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cone_detector.frames import Frame

Pair = tuple[Frame, Frame]


class Arrivals:
    """Pairs of images, each written to memory just before it is used, as a middleware does with a message.

    Images that are only read in turns come from memory that no processor has touched for a second: slower than any that
    a camera driver hands over. Two sets of buffers take turns.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """pairs: of one size each, left and right."""
        self._pairs = pairs
        self._buffers = [[np.empty_like(frame.pixels) for frame in pairs[0]] for _ in range(2)]

    def bring(self, index: int) -> Pair:
        """The pair of frame `index`, its pixels written anew."""
        left, right = (
            replace(frame, pixels=buffer)
            for frame, buffer in zip(self._pairs[index % len(self._pairs)], self._buffers[index % 2], strict=True)
        )
        for new, old in zip((left, right), self._pairs[index % len(self._pairs)], strict=True):
            np.copyto(new.pixels, old.pixels)
        return left, right
