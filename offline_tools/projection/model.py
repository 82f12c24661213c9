# SPDX-License-Identifier: AGPL-3.0-only
"""A roofline a kernel: what it cannot take less than, with how far real kernels stay below the peaks, as measured.

Williams, Waterman, Patterson: Roofline, an insightful visual performance model (2009). Each kernel takes a fixed time
to start and to end, and then the longest of its operations at the peak of the tensor cores, its bytes at the rate of
the L2 cache, and what does not fit there at the rate of the memory; the peaks times a share that is reached in
practice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from offline_tools.projection.gpus import GpuSpec
from offline_tools.projection.kernels import Kernel

# Where the measured GPU is so fast that starts hide everything else, its times say little of the share of the peaks:
# a third is what well-tuned kernels reach at such small sizes. The weight lets a factor of e count as a misfit of 15 %.
_USUAL_SHARE = 0.35
_PRIOR_WEIGHT = 0.15
PRECISIONS = ("fp16", "int8")
# Of the fit: the start of a kernel, and each precision's share of the peaks.
PARAMETERS = 1 + len(PRECISIONS)


@dataclass(frozen=True)
class Point:
    """A measured time of a network alone on a GPU."""

    name: str
    kernels: Sequence[Kernel]
    gpu: GpuSpec
    ms: float


@dataclass(frozen=True)
class Roofline:
    """start_us: of each kernel. shares: of the peaks, by precision. misfits_pct: at the points of the fit, signed."""

    start_us: float
    shares: Mapping[str, float]
    misfits_pct: Mapping[str, float]

    def ms(self, kernels: Sequence[Kernel], gpu: GpuSpec) -> float:
        """Milliseconds of a network whose kernels run one after the other."""
        return _ms(kernels, gpu, self.start_us, self.shares)


def fit(points: Sequence[Point]) -> Roofline:
    """The roofline that is nearest to the measured points, in ratio. Raises ValueError where there are none."""
    if not points:
        raise ValueError("no measured times to calibrate on: run `cone-tools benchmark` first")

    def unpack(values: NDArray[np.float64]) -> tuple[float, dict[str, float]]:
        start, *shares = np.exp(values)
        return float(start), {name: float(share) for name, share in zip(PRECISIONS, shares, strict=True)}

    def misfit(values: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = [np.log(_ms(point.kernels, point.gpu, *unpack(values)) / point.ms) for point in points]
        return np.array([*logs, *(_PRIOR_WEIGHT * (values[1:] - np.log(_USUAL_SHARE)))])

    start = np.log([3.0, _USUAL_SHARE, _USUAL_SHARE])
    # Nobody reaches more than the peak, and no kernel starts in less than half a microsecond.
    bounds = np.log([0.5, 0.02, 0.02]), np.log([50.0, 1.0, 1.0])
    found = unpack(least_squares(misfit, start, bounds=bounds).x)
    misfits = {point.name: 100 * (_ms(point.kernels, point.gpu, *found) / point.ms - 1) for point in points}
    return Roofline(*found, misfits)


def _ms(kernels: Sequence[Kernel], gpu: GpuSpec, start_us: float, shares: Mapping[str, float]) -> float:
    l2_bytes = gpu.l2_mb * 1e6
    # Weights that leave room for a layer's images stay in L2 from frame to frame.
    resident = sum(kernel.weight_bytes for kernel in kernels) <= l2_bytes / 2
    total = 0.0
    for kernel in kernels:
        fits = kernel.activation_bytes <= l2_bytes
        dram = (0.0 if resident else kernel.weight_bytes) + (0.0 if fits else kernel.activation_bytes)
        slowest = max(
            kernel.flops / gpu.peak(kernel.precision),
            (kernel.weight_bytes + kernel.activation_bytes) / (gpu.l2_gb_s * 1e9),
            dram / (gpu.dram_gb_s * 1e9),
        )
        total += start_us / 1e3 + slowest * 1e3 / shares[kernel.precision]
    return total
