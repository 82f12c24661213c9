# SPDX-License-Identifier: AGPL-3.0-only
"""A picture of what `cone-tools benchmark` measured: where a pair's time goes, plan by plan."""

from __future__ import annotations

import json
from pathlib import Path

_PARTS = (
    ("network on the GPU", "#33608c"),
    ("upload and download", "#7aa6c2"),
    ("starting and waiting", "#b9c6d2"),
    ("letterbox and NMS", "#e8a33d"),
    ("stereo", "#b5563b"),
)


def plot_report(report: Path, picture: Path) -> None:
    """Draws the JSON of a benchmark as stacked bars, medians, with p99 and the rivals as marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = json.loads(report.read_text())
    engines = sorted(found["engines"], key=lambda one: (one["model"], one["canvas"], one["precision"]), reverse=True)
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.62 * len(engines)))
    for row, one in enumerate(engines):
        graph, rows = one["gpu_graph_ms_p50"], one["host_rows_ms_p50"]
        compute = one["gpu_compute_ms_p50"]
        ends = (compute, graph, rows, max(rows, one["detector_ms_p50"]), one["cones_ms_p50"])
        left = 0.0
        for end, (label, colour) in zip(ends, _PARTS, strict=True):
            axes.barh(row, max(0.0, end - left), left=left, color=colour, height=0.55, label=label if not row else None)
            left = max(left, end)
        marks = (("cones_ms_p99", "|", "p99"), ("enqueue_ms_p50", "x", "rows without a graph"))
        for name, mark, label in marks:
            axes.plot(one[name], row, mark, color="black", markersize=9, label=label if not row else None)
    axes.set_yticks(range(len(engines)), [f"{one['model']} {one['canvas']} {one['precision']}" for one in engines])
    axes.set_xlabel("milliseconds a pair of 1280x720 images, median")
    axes.set_title(f"{found['machine']['gpu']}, {engines[0]['runtime']}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.75 / (0.6 * len(engines) + 0.4)), ncols=4, frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=130, bbox_inches="tight")
    plt.close(figure)
