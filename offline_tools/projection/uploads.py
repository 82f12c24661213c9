# SPDX-License-Identifier: AGPL-3.0-only
"""Uploads over the projected GPU's link."""

from __future__ import annotations

from typing import Any

from offline_tools.projection.gpus import RTX_4060, GpuSpec


class Uploads:
    """Uploads over another link: the same share of its rate, and the host's own copy from pageable memory."""

    def __init__(self, measured: dict[str, Any], spec: GpuSpec) -> None:
        pinned, pageable = measured["page_locked_gb_s"], measured["pageable_gb_s"]
        self.share = min(1.0, pinned / spec.pcie_gb_s)
        self._host_s_per_gb = max(0.0, 1 / pageable - 1 / pinned)

    def ms(self, size: int, pageable: bool = False) -> float:
        """Milliseconds for `size` bytes."""
        seconds = size / 1e9 / (self.share * RTX_4060.pcie_gb_s)
        return 1e3 * (seconds + (size / 1e9 * self._host_s_per_gb if pageable else 0.0))
