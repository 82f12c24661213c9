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

    Images that are only read in turns come from main memory, since a recording is larger than the caches: slower than
    what a middleware has just copied. Here the measuring thread itself copies, so they are as warm as they can be. Two
    sets of buffers take turns.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """pairs: of one size each, left and right."""
        self._pairs = pairs
        self._buffers = [[np.empty_like(frame.pixels) for frame in pairs[0]] for _ in range(2)]

    def bring(self, index: int) -> Pair:
        """The pair of frame `index`, its pixels written anew."""
        pair, buffers = self._pairs[index % len(self._pairs)], self._buffers[index % 2]
        for frame, buffer in zip(pair, buffers, strict=True):
            np.copyto(buffer, frame.pixels)
        return replace(pair[0], pixels=buffers[0]), replace(pair[1], pixels=buffers[1])
