# SPDX-License-Identifier: AGPL-3.0-only
"""From the figures of a measured GPU to what the car's would take, with the error at points that are known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.engine.manifest import ManifestError, check_file, read_manifest
from offline_tools.projection.gpus import RTX_4060, GpuSpec, spec_of
from offline_tools.projection.kernels import Kernel, kernels_of
from offline_tools.projection.model import Point, Roofline, fit

Record = dict[str, Any]
# Two 640x384 canvases as bytes, and what is known of the 4060: one 640x640 image.
_UPLOAD_BYTES = 2 * 384 * 640 * 3
_CANVAS_PIXELS, _KNOWN_PIXELS = 2 * 384 * 640, 640 * 640
_KNOWN_FLOAT_BYTES = 4 * 3 * _KNOWN_PIXELS


@dataclass(frozen=True)
class Known:
    """A time that somebody measured on the RTX 4060. model: "" for an upload of float32 from ordinary memory."""

    name: str
    model: str
    ms: float


KNOWN = (
    Known("YOLO26n FP16, one image of 640x640, network", "yolo26n", 1.02),
    Known("YOLO11n FP16, one image of 640x640, network", "yolo11n", 0.99),
    Known("one image of 640x640 as float32, upload", "", 1.58),
)


def project(measured: Record, folders: Sequence[Path]) -> Record:
    """The content of `rtx4060.json`.

    measured: of `cone-tools benchmark`. folders: where the ONNX files of its engines lie. Raises ValueError where the
    figures are of an unknown GPU or an ONNX is missing.
    """
    spec = spec_of(measured["machine"]["gpu"])
    networks = {_key(one): _kernels(one, folders) for one in measured["engines"]}
    roofline = fit(_points(measured, spec, networks))
    uploads = _Uploads(measured["machine"]["uploads"], spec)
    known = _known(roofline, uploads, folders)
    errors = [abs(one["error_pct"]) for one in known if one["part"] == "network"]
    misfits = [abs(value) for value in roofline.misfits_pct.values()]
    error_pct = round(max([*errors, float(np.percentile(misfits, 90))]), 1)
    engines = [_engine(one, networks[_key(one)], roofline, uploads) for one in measured["engines"]]
    shipped = next(
        (one for one in engines if _key(one) == ("yolo11n", "int8", "640")), min(engines, key=lambda o: o["frame_ms"])
    )
    return {
        "simulated": True,
        "gpu": RTX_4060.name,
        "measured_on": measured["machine"]["gpu"],
        "engine": f"{shipped['model']} {shipped['canvas']} {shipped['precision']}",
        "frame_ms": shipped["frame_ms"],
        "error_pct": error_pct,
        "engines": engines,
        "known_points": known,
        "calibration": {
            "kernel_start_us": round(roofline.start_us, 3),
            "share_of_peak": {name: round(share, 3) for name, share in roofline.shares.items()},
            "misfits_pct": {name: round(value, 1) for name, value in roofline.misfits_pct.items()},
            "upload_share_of_link": round(uploads.share, 3),
        },
    }


class _Uploads:
    """Uploads over another link: the same share of its rate, and the host's own copy from pageable memory."""

    def __init__(self, measured: Record, spec: GpuSpec) -> None:
        pinned, pageable = measured["page_locked_gb_s"], measured["pageable_gb_s"]
        self.share = min(1.0, pinned / spec.pcie_gb_s)
        self._host_s_per_gb = max(0.0, 1 / pageable - 1 / pinned)

    def ms(self, size: int, pageable: bool = False) -> float:
        seconds = size / 1e9 / (self.share * RTX_4060.pcie_gb_s)
        return 1e3 * (seconds + (size / 1e9 * self._host_s_per_gb if pageable else 0.0))


def _points(measured: Record, spec: GpuSpec, networks: dict[tuple[str, str, str], list[Kernel]]) -> list[Point]:
    points = [
        Point(f"{' '.join(_key(one))}, all SMs", networks[_key(one)], spec, one["limit_graph_ms"])
        for one in measured["engines"]
    ]
    for one in measured.get("few_sms", []):
        if one["sms"] < spec.sms and _key(one) in networks:
            name = f"{' '.join(_key(one))}, {one['sms']} SMs"
            points.append(Point(name, networks[_key(one)], spec.part(one["sms"]), one["graph_ms"]))
    return points


def _known(roofline: Roofline, uploads: _Uploads, folders: Sequence[Path]) -> list[Record]:
    """The projection at KNOWN, as far as the ONNX files are there."""
    found = []
    for known in KNOWN:
        if not known.model:
            part, ms = "upload", uploads.ms(_KNOWN_FLOAT_BYTES, pageable=True)
        elif kernels := _find_kernels((known.model, "fp16", "640"), folders):
            # The same network sees 0.83 times as many pixels; its weights stay the same.
            scaled = [kernel.scaled(_KNOWN_PIXELS / _CANVAS_PIXELS) for kernel in kernels]
            part, ms = "network", roofline.ms(scaled, RTX_4060)
        else:
            continue
        error = round(100 * (ms / known.ms - 1), 1)
        found.append(
            {"name": known.name, "part": part, "known_ms": known.ms, "projected_ms": round(ms, 3), "error_pct": error}
        )
    return found


def _engine(one: Record, kernels: list[Kernel], roofline: Roofline, uploads: _Uploads) -> Record:
    compute, upload = roofline.ms(kernels, RTX_4060), uploads.ms(_UPLOAD_BYTES)
    download = max(0.0, one["gpu_graph_ms_p50"] - one["gpu_compute_ms_p50"] - one["gpu_upload_ms_p50"])
    # The host's part is the measuring machine's: the car's CPU was not measured.
    host, in_space = (one[name] - one["gpu_graph_ms_p50"] for name in ("detector_ms_p50", "cones_ms_p50"))
    gpu = compute + upload + download
    times = {"compute_ms": compute, "upload_ms": upload, "download_ms": download, "gpu_ms": gpu, "host_ms": host,
             "frame_ms": gpu + host, "cones_ms": gpu + in_space}  # fmt: skip
    return {
        **{name: one[name] for name in ("model", "precision", "canvas")},
        **{name: round(value, 3) for name, value in times.items()},
    }


def _kernels(one: Record, folders: Sequence[Path]) -> list[Kernel]:
    """Of the ONNX that an engine was built from."""
    found = _find_kernels(_key(one), folders)
    if not found:
        raise ManifestError(
            f"no ONNX of {one['model']} {one['canvas']} {one['precision']} in {', '.join(map(str, folders))}: "
            "name its folder with --engines"
        )
    return found


def _find_kernels(key: tuple[str, str, str], folders: Sequence[Path]) -> list[Kernel]:
    model, precision, canvas = key
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            manifest = read_manifest(path)
            same = (manifest.model, manifest.name, manifest.qdq) == (model, canvas, precision == "int8")
            if same and manifest.runtime.name == "onnx":
                return kernels_of(check_file(path, manifest))
    return []


def _key(record: Record) -> tuple[str, str, str]:
    return record["model"], record["precision"], record["canvas"]
