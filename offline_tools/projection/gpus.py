# SPDX-License-Identifier: AGPL-3.0-only
"""Specifications of the GPUs that are measured on and projected to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuSpec:
    """Peaks without sparsity, at boost clock. pcie_gb_s: of its link, one way.

    l2_gb_s: 64 bytes a clock from L2 to each multiprocessor (NVIDIA's tuning guides), which no document gives as a sum.
    """

    name: str
    sms: int
    int8_tops: float
    fp16_tflops: float
    dram_gb_s: float
    l2_mb: float
    l2_gb_s: float
    pcie_gb_s: float

    def peak(self, precision: str) -> float:
        """Operations a second of the tensor cores."""
        return (self.int8_tops if precision == "int8" else self.fp16_tflops) * 1e12


# Named as CUDA names them: an "H100 PCIe" or "H200 NVL" has other multiprocessors, clocks and memory.
# NVIDIA's data sheets of H200 SXM and H100 SXM, and of the RTX 4060 (Ada whitepaper: AD107, 115 W, 2.46 GHz boost).
H200 = GpuSpec("NVIDIA H200", 132, 1979.0, 989.0, 4800.0, 50.0, 132 * 64 * 1.98, 63.0)
H100 = GpuSpec("NVIDIA H100 80GB HBM3", 132, 1979.0, 989.0, 3350.0, 50.0, 132 * 64 * 1.98, 63.0)
RTX_4060 = GpuSpec("NVIDIA GeForce RTX 4060", 24, 121.0, 60.5, 272.0, 24.0, 24 * 64 * 2.46, 15.75)
MEASURED = (H200, H100)


def spec_of(name: str) -> GpuSpec:
    """The measured GPU of that name. Raises ValueError for one whose specifications are not known here."""
    for spec in MEASURED:
        if name == spec.name:
            return spec
    raise ValueError(f"no specifications of '{name}': known are {', '.join(spec.name for spec in MEASURED)}")
