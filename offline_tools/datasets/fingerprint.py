# SPDX-License-Identifier: AGPL-3.0-only
"""What an image is, whatever it is called and however it was stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from offline_tools.datasets.sample import DatasetError

_SIDE = 64
_LOW = 16
BITS = _LOW * _LOW

# Measured on the shared onboard frames: copies at JPEG quality 10, at half or double size, with noise or 20 % brighter
# differ from their original in at most 26 bits; the nearest frames of different clips differ in 42 or more.
NEAR_BITS = 28

# A row or column that varies by no more than this is padding, not picture; JPEG wrinkles padding by a few levels.
_FLAT = 12


@dataclass(frozen=True)
class Fingerprint:
    """Two hashes of one image.

    content: SHA-256 of the file's bytes, in hexadecimal.
    look: (32,) uint8, 256 bits of the low frequencies of the decoded pixels; near images differ in few bits.
    """

    content: str
    look: NDArray[np.uint8]


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of an image file. Raises DatasetError where it cannot be decoded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise DatasetError(f"{path} is not an image that OpenCV can decode")
    return Fingerprint(hashlib.sha256(data).hexdigest(), look(pixels))


def look(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The perceptual hash of a BGR image (H, W, 3): signs of its low DCT coefficients about their median.

    Known as pHash (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), here with 256
    bits since the frames of one drive look alike. Size and aspect do not matter, padding is cut off first.
    """
    grey = _without_padding(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_LOW, :_LOW].ravel()
    # The first coefficient is the mean brightness, which says nothing of what is shown.
    low[0] = 0.0
    return np.packbits(low > np.median(low[1:]))


def distance(looks: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bits that differ between each of (N, 32) and each of (M, 32) hashes: (N, M)."""
    if not len(looks) or not len(others):
        return np.empty((len(looks), len(others)), np.int64)
    a, b = (np.unpackbits(x, axis=1).astype(np.int32) for x in (looks, others))
    return (a.sum(1)[:, None] + b.sum(1)[None] - 2 * a @ b.T).astype(np.int64)


def data_sha256(contents: Iterable[str]) -> str:
    """The name of a set of images: SHA-256 of their sorted content hashes, one a line."""
    return hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()


def _without_padding(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.flatnonzero(np.ptp(grey, axis=1) > _FLAT)
    columns = np.flatnonzero(np.ptp(grey, axis=0) > _FLAT)
    if not len(rows) or not len(columns):
        return grey
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
