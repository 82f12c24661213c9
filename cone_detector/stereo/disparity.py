# SPDX-License-Identifier: Apache-2.0
"""Disparity of matched boxes below a pixel: all boxes at once, first by search, then by least squares.

The similarity is normalised correlation, so the cameras' exposures may differ. The search finds the right hill, two
Gauss-Newton steps its top; the slope is the left patch's, known once for all steps ("inverse compositional", Baker and
Matthews, IJCV 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cone_detector.frames import Frame
from cone_detector.stereo.cone_mask import cone_weight, hide
from cone_detector.stereo.patches import PatchGrid
from cone_detector.stereo.rectification import Rectifier

_COLUMNS, _ROWS = 24, 12
# A patch is wider than its box: the cone's outline is where most of the contrast is.
_PATCH_WIDTH = 1.25
# The search reaches half a box to each side, in steps of one column, on every third row.
_REACH = 10
_SEARCH_ROWS = slice(1, None, 3)
# Columns of a near cone lie pixels apart, and a sharp edge anywhere between two of them gives the same samples. So each
# row is sampled elsewhere between columns: multiples of the golden ratio spread evenly, however many there are.
_STAGGER = (np.arange(_ROWS) * (np.sqrt(5) - 1) / 2) % 1 - 0.5
_STEPS = 2
# A step beyond this many columns left the hill that it climbed.
_LARGEST_STEP = 1.5
_SMALLEST_DEVIATION = 1.0
# A patch that correlates less is noise, whose steps would grow without bound.
_LEAST_CORRELATION = 0.3
# Residuals of neighbouring samples are alike (lens blur, interpolation) and tell less than as many independent ones
# would: the spread of true errors over the sigma of independent samples, on exact synthetic truth from 3 to 20 m.
_SIGMA_GAIN = 1.6
_TINY = 1e-9


@dataclass(frozen=True)
class Disparities:
    """What refinement found for each of N pairs of boxes.

    value: (N,) float32, u_left - u_right in rectified pixels. sigma: (N,) float32, its standard deviation.
    correlation: (N,) float32, of the two patches at that disparity, -1..1; below some 0.5 they do not show one thing.
    """

    value: NDArray[np.floating]
    sigma: NDArray[np.floating]
    correlation: NDArray[np.floating]


class DisparityRefiner:
    """Refines the disparity of matched boxes on both images. One thread at a time; keeps its memory."""

    def __init__(self, size: tuple[int, int]) -> None:
        """size: width and height of the rectified images in pixels."""
        self._size = size
        down = (np.arange(_ROWS) + 0.5) / _ROWS
        self._grid = PatchGrid(_COLUMNS, down, _STAGGER)
        self._strip = PatchGrid(_COLUMNS + 2 * _REACH, down[_SEARCH_ROWS], _STAGGER[_SEARCH_ROWS])
        self._weight = cone_weight(_COLUMNS, _ROWS, _PATCH_WIDTH)

    def __call__(
        self,
        left: NDArray[np.float32],
        right: NDArray[np.float32],
        left_frame: Frame,
        right_frame: Frame,
        rectifiers: tuple[Rectifier | None, Rectifier | None] = (None, None),
    ) -> Disparities:
        """left, right: (N, 4) matched boxes in rectified pixels, N > 0. rectifiers: given for raw frames."""
        edges = left + right
        first = (left[:, 0] + left[:, 2]) / 2
        disparity = first - (right[:, 0] + right[:, 2]) / 2
        middle = (edges[:, 1] + edges[:, 3]) / 4
        size = np.maximum((edges[:, 2:] - edges[:, :2]) / 2, 1)
        pitch, height = size[:, 0] * (_PATCH_WIDTH / _COLUMNS), size[:, 1]

        weight = hide(self._weight, left, right, disparity, self._size, _PATCH_WIDTH)
        self._grid.place(first, middle, pitch, height)
        template = self._grid.sample(left_frame, rectifiers[0])
        self._strip.place(first - disparity, middle, pitch, height)
        disparity -= _search(template, weight, self._strip.sample(right_frame, rectifiers[1])) * pitch
        self._grid.move(-disparity)

        share = weight.reshape(len(weight), -1)
        share = share / np.maximum(share.sum(axis=1, keepdims=True), _TINY)
        level, factors, curvature = _factors(template, share)
        for _ in range(_STEPS):
            patch = self._grid.sample(right_frame, rectifiers[1]).reshape(len(template), -1)
            # Both cameras see about the same grey: counted from it, squares stay small and float32 exact.
            patch -= level
            mean, likeness, rise = (factors @ patch[:, :, None])[:, :, 0].T
            power = _dot(patch * share, patch) - mean * mean
            deviation = np.sqrt(np.maximum(power, _SMALLEST_DEVIATION**2))
            correlation = likeness / deviation
            step = rise / (deviation * curvature * np.maximum(correlation, _LEAST_CORRELATION))
            step = np.minimum(np.maximum(step, -_LARGEST_STEP), _LARGEST_STEP) * pitch
            disparity += step
            self._grid.move(-step)
        residual = np.maximum(2 * (1 - correlation), _TINY)
        # As many samples as would weigh the same, and fewer where they lie closer than pixels.
        independent = np.minimum(pitch, 1) * np.minimum(height / _ROWS, 1) / np.maximum(_dot(share, share), _TINY)
        sigma = _SIGMA_GAIN * np.sqrt(residual / (curvature * independent)) * pitch
        return Disparities(disparity, sigma, correlation)


def _search(
    template: NDArray[np.float32], weight: NDArray[np.float32], strip: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Columns by which the right patches must be moved, (N,), to a fraction of a column.

    template: (N, columns, rows) of the left image. weight: of its samples, (N or 1, columns, rows).
    strip: (N, columns and twice the reach, rows of the search) of the right image.
    """
    coarse, share = (rows[:, :, _SEARCH_ROWS].reshape(len(rows), -1) for rows in (template, weight))
    share = share / np.maximum(share.sum(axis=1, keepdims=True), _TINY)
    factors = np.empty((*coarse.shape, 2), np.float32)
    factors[:, :, 0] = share
    np.multiply(coarse - _dot(coarse, share)[:, None], share, out=factors[:, :, 1])
    windows = _windows(strip)
    mean, product = (windows @ factors).transpose(2, 0, 1)
    windows *= windows
    variance = (windows @ share[:, :, None])[:, :, 0] - mean * mean
    score = product / np.sqrt(np.maximum(variance, _SMALLEST_DEVIATION**2))
    every = np.arange(len(score))
    best = np.minimum(np.maximum(score.argmax(axis=1), 1), 2 * _REACH - 1)
    before, at, after = score[every, best - 1], score[every, best], score[every, best + 1]
    bend = np.minimum(before - 2 * at + after, -_TINY)
    return (best - _REACH + np.minimum(np.maximum((before - after) / (2 * bend), -1), 1)).astype(np.float32)


def _factors(
    template: NDArray[np.float32], share: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The templates' mean, (N, 1); what a step multiplies the right patches with, (N, 3, K); the curvature, (N,).

    template: (N, columns, rows), which is used up. share: (N or 1, K) weights of its samples, that sum up to 1. A
    patch's product with the first is its mean, with the second its covariance with the template of mean 0 and deviation
    1, with the third the gradient of that over a shift. An offset of the patch changes neither of these two; the
    template's own offset and gain are taken out of the third, so that a patch which differs by them alone asks for no
    step.
    """
    root = np.sqrt(share)
    slope = np.zeros_like(template)
    np.subtract(template[:, 2:], template[:, :-2], out=slope[:, 1:-1])
    slope, flat = slope.reshape(len(slope), -1), template.reshape(len(template), -1)
    # Multiplied by the root of the weight, so that weighted sums are plain products.
    level = _dot(flat, share)[:, None]
    flat -= level
    flat *= root
    scale = 1 / np.sqrt(np.maximum(_dot(flat, flat), _SMALLEST_DEVIATION**2))[:, None]
    flat *= scale
    slope *= root
    slope *= 0.5 * scale
    slope -= _dot(slope, root)[:, None] * root
    slope -= _dot(slope, flat)[:, None] * flat
    factors = np.empty((len(flat), 3, flat.shape[1]), np.float32)
    factors[:, 0] = share
    np.multiply(flat, root, out=factors[:, 1])
    np.multiply(slope, root, out=factors[:, 2])
    return level, factors, np.maximum(_dot(slope, slope), _TINY)


def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("nk,nk->n", a, b)


def _windows(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 2 * _REACH + 1, K), all patches within strips (N, columns, rows), by steps of a column."""
    size, row, item = strip.strides
    count, _, rows = strip.shape
    shape = (count, 2 * _REACH + 1, _COLUMNS * rows)
    overlapping: NDArray[np.float32] = np.ndarray(shape, strip.dtype, strip, 0, (size, row, item))
    # Copied, since BLAS takes no overlapping rows and numpy's own product is ten times slower.
    return np.ascontiguousarray(overlapping)
