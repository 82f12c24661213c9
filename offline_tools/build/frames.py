# SPDX-License-Identifier: AGPL-3.0-only
"""Camera frames on which a plan is tried: images of a folder, or pairs of a stereo recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.frames import Frame
from cone_detector.letterbox import LetterboxWriter
from cone_detector.replay.bags import StereoBag

_IMAGES = (".jpg", ".jpeg", ".png")
_BAGS = (".mcap", ".db3")


class FramesError(ValueError):
    """Frames that are missing or cannot be read; the message names the path and the fix."""


def read_canvases(source: Path, canvas: tuple[int, int], count: int) -> list[NDArray[np.uint8]]:
    """Up to `count` canvases (2, H, W, 3) uint8 BGR, evenly spread over a folder of images or a stereo recording.

    Images of a folder are put side by side in the order of their names. Raises FramesError or BagError.
    """
    is_bag = source.suffix in _BAGS or (source / "metadata.yaml").is_file()
    pairs = _from_bag(source, count) if is_bag else _from_folder(source, count)
    writer = LetterboxWriter()
    found = []
    for pair in pairs:
        one: NDArray[np.uint8] = np.empty((2, canvas[1], canvas[0], 3), np.uint8)
        for side in (0, 1):
            writer.write(pair[side], one[side])
        found.append(one)
    return found


def _from_bag(path: Path, count: int) -> Iterator[tuple[Frame, Frame]]:
    with StereoBag(path) as bag:
        total = sum(1 for _ in bag.pairs())
        wanted = _spread(total, count)
        for index, pair in enumerate(bag.pairs()):
            if index in wanted:
                yield pair.frames()


def _from_folder(path: Path, count: int) -> Iterator[tuple[Frame, Frame]]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _IMAGES)
    if len(files) < 2:
        raise FramesError(f"{path} holds {len(files)} images ({', '.join(_IMAGES)}): at least 2 are needed")
    for index in sorted(_spread(len(files) // 2, count)):
        yield _read(files[2 * index]), _read(files[2 * index + 1])


def _read(path: Path) -> Frame:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise FramesError(f"{path} is no image that OpenCV can read")
    return Frame(np.asarray(pixels, np.uint8))


def _spread(total: int, count: int) -> set[int]:
    return {int(index) for index in np.linspace(0, total - 1, min(count, total)).round()}
