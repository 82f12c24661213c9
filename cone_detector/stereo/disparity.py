# SPDX-License-Identifier: Apache-2.0
"""Disparity of matched boxes below a pixel: all boxes at once, first by search, then by least squares.

The similarity is normalised correlation, so the cameras' exposures may differ. The search finds the right hill, two
steps of symmetric Gauss-Newton its top ("efficient second-order minimization", Benhimane and Malis, IROS 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from cone_detector.frames import Frame
from cone_detector.stereo.patches import PatchGrid
from cone_detector.stereo.rectification import Rectifier

_COLUMNS, _ROWS = 24, 16
# A patch is wider than its box: the cone's outline is where most of the contrast is.
_PATCH_WIDTH = 1.25
# The search reaches half a box to each side, in steps of one column, on every second row.
_REACH = 10
_SEARCH_ROW_STEP = 2
_STEPS = 2
# A step beyond this many columns left the hill that it climbed.
_LARGEST_STEP = 1.5
_SMALLEST_DEVIATION = 1.0
# Residuals of neighbouring samples are alike (lens blur, interpolation) and tell less than as many independent ones
# would: the spread of true errors over the sigma of independent samples, on exact synthetic truth from 3 to 20 m.
_SIGMA_GAIN = 1.6
_TINY = 1e-9


@dataclass(frozen=True)
class Disparities:
    """What refinement found for each of N pairs of boxes.

    value: (N,) u_left - u_right in rectified pixels. sigma: (N,) its standard deviation.
    correlation: (N,) of the two patches at that disparity, -1..1; below some 0.5 they do not show one thing.
    """

    value: NDArray[np.float64]
    sigma: NDArray[np.float64]
    correlation: NDArray[np.float64]


class DisparityRefiner:
    """Refines the disparity of matched boxes on both images. One thread at a time; keeps its memory."""

    def __init__(self) -> None:
        self._grid = PatchGrid(_COLUMNS, _ROWS)
        self._strip = PatchGrid(_COLUMNS + 2 * _REACH, _ROWS // _SEARCH_ROW_STEP)
        weight = _cone_weight()
        coarse = weight[:, ::_SEARCH_ROW_STEP]
        self._coarse_weight = (coarse / coarse.sum()).ravel()
        # Patches are multiplied by the root of the weight once, so that weighted sums are plain products.
        self._weight = (weight / weight.sum()).ravel()
        self._root = np.sqrt(self._weight)
        # Samples that are independent, were they all on pixels of their own.
        self._samples = 1 / float((self._weight**2).sum())

    def __call__(
        self,
        left: NDArray[np.float64],
        right: NDArray[np.float64],
        left_frame: Frame,
        right_frame: Frame,
        rectifiers: tuple[Rectifier | None, Rectifier | None] = (None, None),
    ) -> Disparities:
        """left, right: (N, 4) matched boxes in rectified pixels, N > 0. rectifiers: where the frames are raw."""
        first = (left[:, 0] + left[:, 2]) / 2
        disparity = first - (right[:, 0] + right[:, 2]) / 2
        middle = (left[:, 1] + left[:, 3] + right[:, 1] + right[:, 3]) / 4
        size = (left[:, 2:] - left[:, :2] + right[:, 2:] - right[:, :2]) / 2
        pitch = np.maximum(size[:, 0], 1.0) * (_PATCH_WIDTH / _COLUMNS)
        height = np.maximum(size[:, 1], 1.0)
        narrow = [values.astype(np.float32) for values in (first, middle, pitch, height)]

        self._grid.place(*narrow)
        template = self._grid.sample(left_frame, rectifiers[0])
        disparity -= self._search(template, disparity, narrow, right_frame, rectifiers[1]) * pitch
        reference, slope = self._prepared(template)
        self._grid.move(-disparity.astype(np.float32))
        for _ in range(_STEPS):
            patch, gradient = self._prepared(self._grid.sample(right_frame, rectifiers[1]))
            gradient += slope
            gradient *= 0.5
            along = _dot(gradient, patch)
            correlation = _dot(reference, patch)
            # What offset and gain of the patch explain is taken out of gradient and residual.
            curvature = np.maximum(_dot(gradient, gradient) - (gradient @ self._root) ** 2 - along**2, _TINY)
            pull = _dot(gradient, reference) - along * correlation
            step = np.clip(pull / curvature, -_LARGEST_STEP, _LARGEST_STEP) * pitch
            disparity -= step
            self._grid.move(step.astype(np.float32))
        residual = np.maximum(2 * (1 - correlation), _TINY)
        # Where a sample's share of the image is below a pixel, neighbours are copies of each other.
        independent = self._samples * np.minimum(pitch, 1) * np.minimum(height / _ROWS, 1)
        sigma = _SIGMA_GAIN * np.sqrt(residual / (curvature * independent)) * pitch
        return Disparities(disparity, sigma, correlation.astype(np.float64))

    def _search(
        self,
        template: NDArray[np.float32],
        disparity: NDArray[np.float64],
        place: list[NDArray[np.float32]],
        frame: Frame,
        rectifier: Rectifier | None,
    ) -> NDArray[np.float64]:
        """Columns by which the right patches must be moved, (N,), to a fraction of a column."""
        first, *rest = place
        self._strip.place(first - disparity.astype(np.float32), *rest)
        strip = self._strip.sample(frame, rectifier)
        coarse = template[:, :, ::_SEARCH_ROW_STEP].reshape(len(template), -1)
        weight = self._coarse_weight
        coarse = (coarse - (coarse @ weight)[:, None]) * weight
        windows = _windows(strip)
        mean = windows @ weight
        variance = _windows(strip * strip) @ weight - mean**2
        product = (windows @ coarse[:, :, None])[:, :, 0]
        score = product / np.sqrt(np.maximum(variance, _SMALLEST_DEVIATION**2))
        every = np.arange(len(score))
        best = np.clip(score.argmax(axis=1), 1, 2 * _REACH - 1)
        before, at, after = score[every, best - 1], score[every, best], score[every, best + 1]
        bend = np.minimum(before - 2 * at + after, -_TINY)
        return best - _REACH + np.clip((before - after) / (2 * bend), -1, 1)

    def _prepared(self, patch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The patch with weighted mean 0 and deviation 1, and its change a column; both (N, K), times root weight."""
        flat = patch.reshape(len(patch), -1)
        slope = np.zeros_like(flat)
        np.subtract(flat[:, 2 * _ROWS :], flat[:, : -2 * _ROWS], out=slope[:, _ROWS:-_ROWS])
        flat -= (flat @ self._weight)[:, None]
        flat *= self._root
        scale = 1 / np.sqrt(np.maximum(_dot(flat, flat), _SMALLEST_DEVIATION**2))[:, None]
        flat *= scale
        slope *= self._root
        slope *= 0.5 * scale
        return flat, slope


def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("nk,nk->n", a, b)


def _windows(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 2 * _REACH + 1, K), all patches within strips (N, columns, rows), by steps of a column."""
    size, row, item = strip.strides
    count, _, rows = strip.shape
    overlapping = as_strided(strip, (count, 2 * _REACH + 1, _COLUMNS * rows), (size, row, item), writeable=False)
    # Copied, since BLAS takes no overlapping rows and numpy's own product is ten times slower.
    return np.ascontiguousarray(overlapping)


def _cone_weight() -> NDArray[np.float32]:
    """(columns, rows): 1 on a cone that fills its box and a little around, falling to 0 outside."""
    down = (np.arange(_ROWS) + 0.5) / _ROWS
    # In half boxes: the body widens from half to the whole, then comes the base plate.
    half_width = np.where(down < 0.9, 0.5 + 0.5 * down, 1.05)
    across = np.abs(np.arange(_COLUMNS) - (_COLUMNS - 1) / 2) / _COLUMNS * 2 * _PATCH_WIDTH
    return np.clip((half_width[None, :] - across[:, None]) / 0.3 + 0.5, 0, 1).astype(np.float32)
