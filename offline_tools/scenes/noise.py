# SPDX-License-Identifier: AGPL-3.0-only
"""Periodic noise tiles and their sampling at world coordinates."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TILE = 512
WAVELENGTH = 8.0
"""Dominant wavelength of every tile, in tile pixels."""


def _band_pass(rng: np.random.Generator, low: float = 0.6, high: float = 1.6) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]) * WAVELENGTH
    gain = np.exp(-((frequency / high) ** 4)) * (1.0 - np.exp(-((frequency / low) ** 4)))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(TILE, TILE))) * gain, s=(TILE, TILE))
    return (field - field.mean()) / field.std()


def _cells(rng: np.random.Generator, count: int = 90) -> np.ndarray:
    """Distance to the nearest border between Voronoi cells, in tile pixels: a crazed surface."""
    points = rng.uniform(0, TILE, (count, 2))
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    x = x + 5.0 * _band_pass(rng, 0.15, 0.4).astype(np.float32)
    nearest = np.full((2, TILE, TILE), np.inf, np.float32)
    for px, py in points:
        dx = np.abs(x - px) % TILE
        dy = np.abs(y - py) % TILE
        distance = np.hypot(np.minimum(dx, TILE - dx), np.minimum(dy, TILE - dy))
        nearest[1] = np.minimum(nearest[1], np.maximum(distance, nearest[0]))
        nearest[0] = np.minimum(nearest[0], distance)
    return nearest[1] - nearest[0]


@lru_cache(maxsize=32)
def tile(kind: str, seed: int = 0) -> np.ndarray:
    """A tile (513, 513) float32 that repeats every 512 pixels.

    Args:
        kind: "smooth" (Gaussian, mean 0, deviation 1), "speckle" (sparse bright grains), "cracks" (1 on thin lines,
            else 0) or "pavers" (-1 in the joints, else a shade for each stone).
    """
    rng = np.random.default_rng([seed, 4711])
    if kind == "smooth":
        field = _band_pass(rng)
    elif kind == "speckle":
        field = np.maximum(_band_pass(rng, 0.4, 2.5) - 0.7, 0.0) ** 1.5
        field = (field - field.mean()) / field.std()
    elif kind == "cracks":
        field = np.exp(-((_cells(rng) / 1.6) ** 2)) * np.clip(0.6 + 0.5 * _band_pass(rng, 0.1, 0.5), 0, 1)
    elif kind == "pavers":
        field = _pavers(rng)
    else:
        raise ValueError(f"unknown noise {kind!r}: choose smooth, speckle, cracks or pavers")
    return np.pad(field, ((0, 1), (0, 1)), mode="wrap").astype(np.float32)


def _pavers(rng: np.random.Generator, rows: int = 16, columns: int = 8) -> np.ndarray:
    shade = rng.normal(0, 0.5, (rows, columns))
    y, x = np.mgrid[0:TILE, 0:TILE]
    row = y * rows // TILE
    shift = x + (row % 2) * TILE // columns // 2
    field = shade[row, (shift * columns // TILE) % columns]
    joint = (y % (TILE // rows) < 3) | (shift % (TILE // columns) < 3)
    return cv2.GaussianBlur(np.where(joint, -1.8, field), (3, 3), 0.7, borderType=cv2.BORDER_REFLECT)


def sample(kind: str, x: np.ndarray, y: np.ndarray, wavelength: float, seed: int = 0) -> np.ndarray:
    """Noise at world coordinates.

    Args:
        x, y: coordinates in metres, float32, of one shape (H, W) or (N,).
        wavelength: metres of one period of the tile's dominant wave.

    Returns:
        float32 of the shape of `x`.
    """
    scale = np.float32(WAVELENGTH / wavelength)
    offset = np.random.default_rng([seed, 99]).uniform(0, TILE, 2).astype(np.float32)
    u, v = x * scale + offset[0], y * scale + offset[1]
    u -= np.floor(u * np.float32(1 / TILE)) * TILE
    v -= np.floor(v * np.float32(1 / TILE)) * TILE
    u, v = np.atleast_2d(u), np.atleast_2d(v)
    values = cv2.remap(tile(kind, seed % 3), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(x.shape)
