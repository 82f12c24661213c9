# SPDX-License-Identifier: Apache-2.0
"""Image pairs out of folders, files and videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.frames import Frame, split_side_by_side
from cone_detector.replay.bag_topics import BagError

ImagePair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def from_folders(left: Path, right: Path) -> Iterator[ImagePair]:
    """Images of the same file name (but for the suffix) in two folders, in the order of their names.

    Raises BagError where the folders do not hold the same names.
    """
    found = [{path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in _IMAGE_SUFFIXES}
             for folder in (left, right)]  # fmt: skip
    if not any(found):
        raise BagError(f"no images in {left} and {right}")
    if alone := sorted(found[0].keys() ^ found[1].keys()):
        raise BagError(f"{len(alone)} images have no partner in the other folder, as {alone[0]}: names must agree")
    return from_files([path for stem in found[0] for path in (found[0][stem], found[1][stem])])


def from_files(paths: Sequence[Path]) -> Iterator[ImagePair]:
    """Pairs of image files: left, right, left, right. Raises BagError where one cannot be read."""
    if len(paths) % 2:
        raise BagError(f"{len(paths)} image files: give left and right in turn")
    return ((_read(left), _read(right)) for left, right in zip(paths[::2], paths[1::2], strict=True))


def from_video(path: Path) -> tuple[Iterator[ImagePair], float]:
    """Pairs out of a side-by-side video, and its rate in Hz. Raises BagError where it cannot be read."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise BagError(f"{path} is no video that OpenCV can read")
    return _halves(video), float(video.get(cv2.CAP_PROP_FPS))


def _halves(video: cv2.VideoCapture) -> Iterator[ImagePair]:
    try:
        while True:
            more, picture = video.read()
            if not more:
                return
            left, right = split_side_by_side(Frame(picture))
            yield left.pixels, right.pixels
    finally:
        video.release()


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise BagError(f"{path} is no image that OpenCV can read")
    return picture
