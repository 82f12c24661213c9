# SPDX-License-Identifier: AGPL-3.0-only
"""The benchmark's file of figures, and the table that people read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cone_detector.engine import cuda
from offline_tools.benchmark.few_sms import FewSms
from offline_tools.benchmark.figures import EngineFigures
from offline_tools.benchmark.limit import measure_uploads

# Two letterboxed 640x384 images as bytes; the float32 squares of the baseline are 6.7 times as many.
_UPLOAD_BYTES = 2 * 384 * 640 * 3

Record = dict[str, Any]


def write_report(file: Path, figures: Sequence[EngineFigures]) -> None:
    """Writes figures with machine and versions; those of other plans that the file holds stay."""
    found = json.loads(file.read_text()) if file.exists() else {}
    new = [asdict(one) for one in figures]
    keys = [_key(one) for one in new]
    kept = [one for one in found.get("engines", []) if _key(one) not in keys]
    content = {**found, "machine": _machine(), "engines": kept + new}
    _write(file, content)


def write_few_sms(file: Path, figures: Sequence[FewSms]) -> None:
    """Adds times on parts of the GPU to a report; those of the same plan are replaced."""
    found = json.loads(file.read_text()) if file.exists() else {}
    new = [asdict(one) for one in figures]
    keys = [_key(one) for one in new]
    kept = [one for one in found.get("few_sms", []) if _key(one) not in keys]
    _write(file, {"machine": _machine(), **found, "few_sms": kept + new})


def write_table(report: Path, table: Path) -> None:
    """Writes the figures of a report as Markdown."""
    found = json.loads(report.read_text())
    machine = found["machine"]
    engines = sorted(found["engines"], key=lambda one: (one["model"], -int(one["canvas"]), one["precision"]))
    columns: dict[str, Callable[[Record], str]] = {
        "plan": lambda one: f"{one['model']} {one['canvas']} {one['precision']}",
        "pairs": lambda one: str(one["frames"]),
        "limit": lambda one: f"{one['limit_graph_ms']:.3f}",
        "network": lambda one: f"{one['gpu_compute_ms_p50']:.3f}",
        "GPU": lambda one: f"{one['gpu_graph_ms_p50']:.3f}",
        "rows": lambda one: f"{one['host_rows_ms_p50']:.3f}",
        "no graph": lambda one: f"{one['enqueue_ms_p50']:.3f} ({one['graph_gain']:.2f} x)",
        "2D": lambda one: f"{one['detector_ms_p50']:.3f} / {one['detector_ms_p99']:.3f}",
        "3D": lambda one: f"{one['cones_ms_p50']:.3f} / {one['cones_ms_p99']:.3f}",
        "2D at 60 Hz": lambda one: f"{one['paced_detector_ms_p50']:.3f} / {one['paced_detector_ms_p99']:.3f}",
        "CPU": lambda one: f"{one['cpu_share']:.2f}",
        "CUDA allocations": lambda one: f"{one['allocations_per_frame']:g}",
        "naive": lambda one: "" if one["naive_ms_p50"] is None else f"{one['naive_ms_p50']:.3f}",
        "convolutions": _convolutions,
        "rows as in FP32": lambda one: _rows(one["rows"]),
        "mAP50 (FP32)": lambda one: _accuracy(one.get("accuracy")),
    }
    lines = [
        f"# TensorRT on {machine['gpu']}",
        "",
        f"Written by `cone-tools benchmark` from `{report.name}`. {engines[0]['runtime']}, driver {machine['driver']}, "
        f"{machine['cpu']}, Python {machine['python']}; pairs of 1280x720 images.",
        "Milliseconds a pair, p50 or p50 / p99. `limit`: the network alone, enqueued over and over, waited for once. "
        "`network`, `GPU`: by CUDA events, the latter with upload and download. `rows`: from the call to rows on the "
        "host. `no graph`: the same kernel by kernel, and how many times slower. `2D`, `3D`: from two camera images to "
        "boxes, and to cones in space. `CPU`: share of one core at 60 Hz, while frames are in work. `naive`: the same "
        "model in FP16 as a float32 square from ordinary memory. `convolutions`: that compute in the "
        "plan's precision, and how many layers only reformat. `mAP50`: of the plan, and of its float ONNX on the same "
        "images.",
        "",
        "| " + " | ".join(columns) + " |",
        "| --- " + "| ---: " * (len(columns) - 1) + "|",
        *("| " + " | ".join(cell(one) for cell in columns.values()) + " |" for one in engines),
    ]
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(lines) + "\n")


def _write(file: Path, content: Record) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, file)


def _rows(rows: Record | None) -> str:
    if rows is None:
        return ""
    return (
        f"{rows['found']:.1%} found, {rows['within_limits']:.1%} within {rows['limits']}; "
        f"p99 {rows['box_px_p99']:.2f} px, {rows['score_p99']:.3f}"
    )


def _convolutions(record: Record) -> str:
    plan = record.get("plan")
    if plan is None or plan["layers"] is None:
        return ""
    precision, found = record["precision"].upper(), plan["convolutions"]
    return f"{found.get(precision, 0)} of {sum(found.values())} in {precision}; {plan['layers']['reformats']} reformats"


def _accuracy(found: Record | None) -> str:
    return "" if found is None else f"{found['split']} {found['map50']:.3f} ({found['map50_fp32']:.3f})"


def _key(record: Record) -> tuple[str, str, str]:
    return record["model"], record["precision"], record["canvas"]


def _machine() -> Record:
    device = cuda.device()
    return {
        "gpu": device.name,
        "compute_capability": device.compute_capability,
        "driver": device.driver,
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
        "opencv_threads": cv2.getNumThreads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "cuda_python": _cuda_python(),
        "uploads": asdict(measure_uploads(_UPLOAD_BYTES)),
    }


def _cuda_python() -> str:
    # Since 12.6 the code is in cuda-bindings, which torch brings without the package that gave it its name.
    for package in ("cuda-bindings", "cuda-python"):
        with suppress(PackageNotFoundError):
            return version(package)
    return "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
