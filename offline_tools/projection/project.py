# SPDX-License-Identifier: AGPL-3.0-only
"""From the figures of a measured GPU to what the car's would take, with the error at points that are known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offline_tools.projection.gpus import RTX_4060, spec_of
from offline_tools.projection.kernels import Kernel
from offline_tools.projection.model import PARAMETERS, Point, Roofline, fit
from offline_tools.projection.networks import Key, find, need
from offline_tools.projection.passes import download_ms, passes_of
from offline_tools.projection.uploads import Uploads

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

    measured: of `cone-tools benchmark`. folders: where the ONNX files of its engines lie.
    network_error_pct: of the worst known point, or of nine in ten misfits where that is larger. upload_error_pct: of
    its known point. error_pct: of both together, weighted by what they take of a frame.
    Raises ValueError where the figures are of an unknown GPU or an ONNX is missing.
    """
    spec = spec_of(measured["machine"]["gpu"])
    networks = {_key(one): need(_key(one), folders).kernels for one in measured["engines"]}
    points = [
        Point(" ".join(_key(one)), networks[_key(one)], spec, one["limit_graph_ms"]) for one in measured["engines"]
    ]
    roofline = fit(points)
    uploads = Uploads(measured["machine"]["uploads"], spec)
    known = _known(roofline, uploads, folders)
    engines = [_engine(one, networks[_key(one)], roofline, uploads) for one in measured["engines"]]
    shipped = next(
        (one for one in engines if _key(one) == ("yolo11n", "int8", "640")), min(engines, key=lambda o: o["frame_ms"])
    )
    errors = {part: _worst(known, part, roofline) for part in ("network", "upload")}
    parts = {"network": shipped["compute_ms"], "upload": shipped["upload_ms"]}
    return {
        "simulated": True,
        "gpu": RTX_4060.name,
        "measured_on": measured["machine"]["gpu"],
        "engine": f"{shipped['model']} {shipped['canvas']} {shipped['precision']}",
        "frame_ms": shipped["frame_ms"],
        **{f"{part}_error_pct": round(error, 1) for part, error in errors.items()},
        "error_pct": round(float(np.average(list(errors.values()), weights=list(parts.values()))), 1),
        "engines": engines,
        "passes": passes_of(measured, folders, roofline, uploads),
        "known_points": known,
        "as_small": _as_small(measured, networks, roofline),
        "calibration": {
            "kernel_start_us": round(roofline.start_us, 3),
            "share_of_peak": {name: round(share, 3) for name, share in roofline.shares.items()},
            "points": len(roofline.misfits_pct),
            "misfits_pct": {name: round(value, 1) for name, value in _telling(roofline).items()},
            "upload_share_of_link": round(uploads.share, 3),
        },
    }


def _as_small(measured: Record, networks: dict[Key, Sequence[Kernel]], roofline: Roofline) -> list[Record]:
    """What was measured on as many multiprocessors as the RTX 4060 has, beside the projection.

    It calibrates nothing: how far kernels stay below the higher peaks of another generation's tensor cores says little
    of these.
    """
    found = []
    for one in measured.get("few_sms", []):
        if one["sms"] == RTX_4060.sms and _key(one) in networks:
            ms = roofline.ms(networks[_key(one)], RTX_4060)
            difference = round(100 * (ms / one["graph_ms"] - 1), 1)
            found.append({**one, "projected_ms": round(ms, 3), "difference_pct": difference})
    return found


def _telling(roofline: Roofline) -> Mapping[str, float]:
    """The misfits, if any point was left over to test the fit: it goes through as many as it has parameters."""
    return roofline.misfits_pct if len(roofline.misfits_pct) > PARAMETERS else {}


def _worst(known: Sequence[Record], part: str, roofline: Roofline) -> float:
    """Error in percent of `part` at its worst known point; of the network, at least that of nine misfits in ten."""
    errors = [abs(one["error_pct"]) for one in known if one["part"] == part]
    if part == "network" and (misfits := _telling(roofline)):
        errors.append(float(np.percentile(np.abs(list(misfits.values())), 90)))
    if not errors:
        raise ValueError(f"nothing tells the error of the {part}: name the folder of yolo11n's float ONNX for 640")
    return max(errors)


def _known(roofline: Roofline, uploads: Uploads, folders: Sequence[Path]) -> list[Record]:
    """The projection at KNOWN, as far as the ONNX files are there."""
    found = []
    for known in KNOWN:
        if not known.model:
            part, ms = "upload", uploads.ms(_KNOWN_FLOAT_BYTES, pageable=True)
        elif network := find((known.model, "fp16", "640"), folders):
            # The same network sees 0.83 times as many pixels; its weights stay the same.
            scaled = [kernel.scaled(_KNOWN_PIXELS / _CANVAS_PIXELS) for kernel in network.kernels]
            part, ms = "network", roofline.ms(scaled, RTX_4060)
        else:
            continue
        error = round(100 * (ms / known.ms - 1), 1)
        found.append(
            {"name": known.name, "part": part, "known_ms": known.ms, "projected_ms": round(ms, 3), "error_pct": error}
        )
    return found


def _engine(one: Record, kernels: Sequence[Kernel], roofline: Roofline, uploads: Uploads) -> Record:
    compute, upload = roofline.ms(kernels, RTX_4060), uploads.ms(_UPLOAD_BYTES)
    download = download_ms(one)
    # The host's part is the measuring machine's: the car's CPU was not measured.
    host, in_space = (one[name] - one["gpu_graph_ms_p50"] for name in ("detector_ms_p50", "cones_ms_p50"))
    gpu = compute + upload + download
    times = {"compute_ms": compute, "upload_ms": upload, "download_ms": download, "gpu_ms": gpu, "host_ms": host,
             "frame_ms": gpu + host, "cones_ms": gpu + in_space}  # fmt: skip
    return {
        **{name: one[name] for name in ("model", "precision", "canvas")},
        **{name: round(value, 3) for name, value in times.items()},
    }


def _key(record: Record) -> Key:
    return record["model"], record["precision"], record["canvas"]
