# SPDX-License-Identifier: AGPL-3.0-only
"""What each pass of the adaptive policies would cost on the projected GPU, as `cone-tools policies` counts cost.

That is from the call of an engine to its rows in host memory: upload, network, download, and the host's start and
wait. Letterbox and suppression of doubles are not in it, here as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cone_detector.adaptive.passes import BAND, HIGH, LOW, ZOOM
from offline_tools.projection.gpus import RTX_4060
from offline_tools.projection.model import Roofline
from offline_tools.projection.networks import Network, find
from offline_tools.projection.uploads import Uploads

Record = dict[str, Any]


def passes_of(measured: Record, folders: Sequence[Path], roofline: Roofline, uploads: Uploads) -> list[Record]:
    """Milliseconds of each pass whose ONNX is in `folders`, for each model and precision that was measured at 640."""
    return [
        _pass(whole, network, roofline, uploads)
        for whole in measured["engines"]
        if whole["canvas"] == HIGH
        for name in (LOW, HIGH, BAND, ZOOM)
        if (network := find((whole["model"], whole["precision"], name), folders))
    ]


def download_ms(measured: Record) -> float:
    """The same for all passes and both GPUs: a few kilobytes, of which only the latency counts."""
    return max(0.0, measured["gpu_graph_ms_p50"] - measured["gpu_compute_ms_p50"] - measured["gpu_upload_ms_p50"])


def _pass(whole: Record, network: Network, roofline: Roofline, uploads: Uploads) -> Record:
    """whole: the figures measured at 640, of which download and launch are taken for every pass.

    As a frame's second pass, one over the canvas finds it uploaded; a close-up is cut anew and brings its own pixels.
    """
    manifest = network.manifest
    close_up = manifest.magnified > 1
    width, height = manifest.input_size if close_up else manifest.canvas
    upload, compute = uploads.ms(2 * height * width * 3), roofline.ms(network.kernels, RTX_4060)
    # The host's start and wait: the measuring machine's CPU, not the car's.
    download, launch = download_ms(whole), max(0.0, whole["host_rows_ms_p50"] - whole["gpu_graph_ms_p50"])
    again = compute + download + launch
    times = {"compute_ms": compute, "upload_ms": upload, "download_ms": download, "launch_ms": launch,
             "first_ms": again + upload, "second_ms": again + upload if close_up else again}  # fmt: skip
    return {
        **{key: whole[key] for key in ("model", "precision")},
        "canvas": manifest.name,
        **{key: round(value, 3) for key, value in times.items()},
    }
