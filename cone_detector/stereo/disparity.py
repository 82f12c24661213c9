# SPDX-License-Identifier: Apache-2.0
"""Disparity of matched boxes below a pixel: first by search, then by least squares.

The similarity is normalised correlation, so the cameras' exposures may differ. The search finds the right hill, two
Gauss-Newton steps its top; the slope is the left patch's, known once for all steps ("inverse compositional", Baker and
Matthews, IJCV 2004).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cone_detector.compiled import FLOAT, compiled, packed
from cone_detector.frames import Frame
from cone_detector.stereo.cone_mask import cone_weight, visible
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
_LARGEST_STEP = np.float32(1.5)
_SMALLEST_DEVIATION = np.float32(1.0)
# A patch that correlates less is noise, whose steps would grow without bound.
_LEAST_CORRELATION = np.float32(0.3)
# Residuals of neighbouring samples are alike (lens blur, interpolation) and tell less than as many independent ones
# would: the spread of true errors over the sigma of independent samples, on exact synthetic truth from 3 to 20 m.
_SIGMA_GAIN = np.float32(1.6)
_TINY = np.float32(1e-9)


class Disparities(NamedTuple):
    """What refinement found for each of N pairs of boxes.

    value: (N,) float32, u_left - u_right in rectified pixels. sigma: (N,) float32, its standard deviation.
    correlation: (N,) float32, of the two patches at that disparity, -1..1; below some 0.5 they do not show one thing.
    """

    value: NDArray[np.float32]
    sigma: NDArray[np.float32]
    correlation: NDArray[np.float32]


class DisparityRefiner:
    """Refines the disparity of matched boxes on both images."""

    def __init__(self, size: tuple[int, int]) -> None:
        """size: width and height of the rectified images in pixels."""
        self._size = size
        self._weight = cone_weight(_COLUMNS, _ROWS, _PATCH_WIDTH)
        down = (np.arange(_ROWS) + 0.5) / _ROWS
        first, last = _spans(self._weight)
        # A gradient needs both neighbours.
        self._template = PatchGrid(_COLUMNS, down, _STAGGER, np.maximum(first - 1, 0), np.minimum(last + 1, _COLUMNS))
        self._patch = PatchGrid(_COLUMNS, down, _STAGGER, first, last)
        some = _SEARCH_ROWS
        self._strip = PatchGrid(_COLUMNS + 2 * _REACH, down[some], _STAGGER[some], first[some], last[some] + 2 * _REACH)

    def __call__(
        self,
        left: NDArray[np.float32],
        right: NDArray[np.float32],
        left_frame: Frame,
        right_frame: Frame,
        rectifiers: tuple[Rectifier | None, Rectifier | None] = (None, None),
    ) -> Disparities:
        """left, right: (N, 4) matched boxes in rectified pixels, N > 0. rectifiers: given for raw frames."""
        x, y, pitch, height, disparity = _placed(left, right)
        share, samples = _shares(visible(self._weight, left, right, disparity, self._size, _PATCH_WIDTH))
        template = self._template.sample(left_frame, rectifiers[0], x, y, pitch, height)
        strip = self._strip.sample(right_frame, rectifiers[1], x - disparity, y, pitch, height)
        disparity = _searched(template, share, strip, disparity, pitch)
        slopes = _prepared(template, share)
        for _ in range(_STEPS):
            patch = self._patch.sample(right_frame, rectifiers[1], x - disparity, y, pitch, height)
            disparity, correlation = _climbed(patch, share, *slopes, disparity, pitch)
        return Disparities(disparity, _sigma(correlation, slopes[-1], samples, pitch, height), correlation)


def _spans(weight: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(rows,) the first column of each row that has a weight, and the one behind the last."""
    some = weight > 0
    return some.argmax(axis=1), weight.shape[1] - some[:, ::-1].argmax(axis=1)


@compiled(packed(FLOAT, 2), packed(FLOAT, 2))
def _placed(left: NDArray[np.float32], right: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Of each pair of boxes: the left one's column, the row of both, pixels a column, height, and disparity."""
    x, y, pitch, height, disparity = np.empty((5, len(left)), np.float32)
    for index in range(len(left)):
        a, b = left[index], right[index]
        x[index] = (a[0] + a[2]) / 2
        y[index] = (a[1] + a[3] + b[1] + b[3]) / 4
        pitch[index] = max((a[2] - a[0] + b[2] - b[0]) / 2, np.float32(1)) * np.float32(_PATCH_WIDTH / _COLUMNS)
        height[index] = max((a[3] - a[1] + b[3] - b[1]) / 2, np.float32(1))
        disparity[index] = x[index] - (b[0] + b[2]) / 2
    return x, y, pitch, height, disparity


@compiled(packed(FLOAT, 3))
def _shares(weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, rows, columns) weights of which each patch's sum is 1; (N,) how many samples of equal weight tell as much."""
    share, samples = np.empty_like(weight), np.empty(len(weight), np.float32)
    for index in range(len(weight)):
        whole = squares = np.float32(0)
        for row in range(weight.shape[1]):
            for column in range(weight.shape[2]):
                whole += weight[index, row, column]
                squares += weight[index, row, column] ** 2
        whole = max(whole, _TINY)
        for row in range(weight.shape[1]):
            for column in range(weight.shape[2]):
                share[index, row, column] = weight[index, row, column] / whole
        samples[index] = whole**2 / max(squares, _TINY)
    return share, samples


@compiled(packed(FLOAT, 3), packed(FLOAT, 3), packed(FLOAT, 3), packed(FLOAT, 1), packed(FLOAT, 1))
def _searched(
    template: NDArray[np.float32],
    share: NDArray[np.float32],
    strip: NDArray[np.float32],
    disparity: NDArray[np.float32],
    pitch: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The disparities at which the right patches correlate best, to a fraction of a column.

    template, share: (N, rows, columns) of the left image. strip: (N, rows of the search, columns and twice the reach)
    of the right one, around `disparity`. pitch: (N,) pixels a column.
    """
    rows, columns = strip.shape[1], template.shape[2]
    found = np.empty_like(disparity)
    weight, product_weight = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    score = np.empty(2 * _REACH + 1, np.float32)
    for index in range(len(template)):
        whole = level = np.float32(0)
        for row in range(rows):
            line = _SEARCH_ROWS.start + row * _SEARCH_ROWS.step
            for column in range(columns):
                weight[row, column] = share[index, line, column]
                product_weight[row, column] = weight[row, column] * template[index, line, column]
                whole += weight[row, column]
                level += product_weight[row, column]
        whole = max(whole, _TINY)
        level /= whole
        for row in range(rows):
            for column in range(columns):
                product_weight[row, column] -= weight[row, column] * level
        best = 0
        for shift in range(len(score)):
            mean = power = product = np.float32(0)
            for row in range(rows):
                for column in range(columns):
                    # Both cameras see about the same grey: counted from it, squares stay small and float32 exact.
                    value = strip[index, row, column + shift] - level
                    part = weight[row, column] * value
                    mean += part
                    power += part * value
                    product += product_weight[row, column] * value
            variance = power / whole - (mean / whole) ** 2
            score[shift] = product / np.sqrt(max(variance, _SMALLEST_DEVIATION**2))
            if score[shift] > score[best]:
                best = shift
        best = min(max(best, 1), len(score) - 2)
        before, at, after = score[best - 1], score[best], score[best + 1]
        top = (before - after) / (2 * min(before - 2 * at + after, -_TINY))
        found[index] = disparity[index] - (np.float32(best - _REACH) + min(max(top, -1), 1)) * pitch[index]
    return found


@compiled(packed(FLOAT, 3), packed(FLOAT, 3))
def _prepared(
    template: NDArray[np.float32], share: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What a step multiplies the right patches with, (N, rows, columns) twice; the templates' means and curvatures.

    A patch's weighted product with the first is its covariance with the template of mean 0 and deviation 1, with the
    second the gradient of that over a shift. An offset of the patch changes neither; the template's own offset and gain
    are taken out of the second, so that a patch which differs by them alone asks for no step.
    """
    _, rows, columns = template.shape
    likeness, rise = np.empty_like(template), np.empty_like(template)
    level, curvature = np.empty(len(template), np.float32), np.empty(len(template), np.float32)
    for index in range(len(template)):
        grey, part, alike, slope = template[index], share[index], likeness[index], rise[index]
        mean = offset = np.float32(0)
        for row in range(rows):
            slope[row, 0] = slope[row, columns - 1] = 0
            for column in range(1, columns - 1):
                slope[row, column] = (grey[row, column + 1] - grey[row, column - 1]) / 2
            for column in range(columns):
                mean += part[row, column] * grey[row, column]
                offset += part[row, column] * slope[row, column]
        power = product = np.float32(0)
        for row in range(rows):
            for column in range(columns):
                alike[row, column] = grey[row, column] - mean
                slope[row, column] -= offset
                power += part[row, column] * alike[row, column] * alike[row, column]
                product += part[row, column] * alike[row, column] * slope[row, column]
        scale = np.float32(1) / np.sqrt(max(power, _SMALLEST_DEVIATION**2))
        gain = product * scale * scale
        square = np.float32(0)
        for row in range(rows):
            for column in range(columns):
                slope[row, column] = (slope[row, column] - gain * alike[row, column]) * scale
                square += part[row, column] * slope[row, column] * slope[row, column]
                alike[row, column] *= scale
        level[index], curvature[index] = mean, max(square, _TINY)
    return likeness, rise, level, curvature


@compiled(*[packed(FLOAT, 3)] * 4, *[packed(FLOAT, 1)] * 4)
def _climbed(
    patch: NDArray[np.float32],
    share: NDArray[np.float32],
    likeness: NDArray[np.float32],
    rise: NDArray[np.float32],
    level: NDArray[np.float32],
    curvature: NDArray[np.float32],
    disparity: NDArray[np.float32],
    pitch: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Disparities a Gauss-Newton step further, and how well the patches correlate before it.

    patch: (N, rows, columns) of the right image at `disparity`; the others as they come from `_shares` and `_prepared`.
    """
    _, rows, columns = patch.shape
    found, correlation = np.empty_like(disparity), np.empty_like(disparity)
    for index in range(len(patch)):
        mean = power = product = slope = np.float32(0)
        for row in range(rows):
            for column in range(columns):
                value = patch[index, row, column] - level[index]
                part = share[index, row, column] * value
                mean += part
                power += part * value
                product += part * likeness[index, row, column]
                slope += part * rise[index, row, column]
        deviation = np.sqrt(max(power - mean**2, _SMALLEST_DEVIATION**2))
        correlation[index] = product / deviation
        steepness = deviation * curvature[index] * max(correlation[index], _LEAST_CORRELATION)
        step = min(max(slope / steepness, -_LARGEST_STEP), _LARGEST_STEP)
        found[index] = disparity[index] + step * pitch[index]
    return found, correlation


@compiled(*[packed(FLOAT, 1)] * 5)
def _sigma(
    correlation: NDArray[np.float32],
    curvature: NDArray[np.float32],
    samples: NDArray[np.float32],
    pitch: NDArray[np.float32],
    height: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Standard deviations in pixels of disparities at which patches correlate so well."""
    sigma = np.empty_like(correlation)
    for index in range(len(sigma)):
        # Samples that lie closer than pixels tell less.
        independent = samples[index] * min(pitch[index], np.float32(1)) * min(height[index] / _ROWS, np.float32(1))
        residual = max(2 * (1 - correlation[index]), _TINY)
        sigma[index] = _SIGMA_GAIN * np.sqrt(residual / (curvature[index] * independent)) * pitch[index]
    return sigma
