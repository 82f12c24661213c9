# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools project`: what plans would cost on an RTX 4060, from their layers; simulated, never measured.

TensorRT-RTX builds for that card on any machine and lists the kernels that would run. Each is given
`kernel_us + flops / (efficiency * peak) + bytes / (efficiency * bandwidth)`, a roofline whose two unknowns, the cost of
a kernel that does next to nothing and the share of the peak that is reached, are fitted to times measured on another
GPU. The error is that of the same model on times that others measured on an RTX 4060.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from cone_detector.engine import trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError, Precision, check_file, read_manifest
from offline_tools.build.layers import Layer, from_inspector
from offline_tools.build.plan import BuildError, build_plan


@dataclass(frozen=True)
class Gpu:
    """Data-sheet figures. tflops: dense, by the type that a layer computes in. bus_gbs: of pinned uploads."""

    name: str
    tflops: dict[str, float]
    bandwidth_gbs: float
    bus_gbs: float


# NVIDIA's data sheets; INT8 counts operations. The 4060's PCIe 4.0 x8 moves 16 GB/s, of which about 0.8 arrive.
RTX_4060 = Gpu("NVIDIA GeForce RTX 4060", {"INT8": 121, "FP16": 60.5, "FP32": 15.1}, 272, 12.8)
MEASURED_GPUS = {
    "NVIDIA H200": Gpu("NVIDIA H200", {"INT8": 1979, "FP16": 989, "FP32": 67}, 4800, 50),
    "NVIDIA H100 80GB HBM3": Gpu("NVIDIA H100 80GB HBM3", {"INT8": 1979, "FP16": 989, "FP32": 67}, 3350, 50),
}
# Compute times on an RTX 4060 of one 640x640 image in FP16, by trtexec, in milliseconds.
KNOWN_MS = {"yolo26n": 1.02, "yolo11n": 0.99}


class ProjectionError(ValueError):
    """Figures that cannot be projected from; the message names what is missing."""


@dataclass(frozen=True)
class Model:
    """The fitted roofline. kernel_us: of a kernel that does next to nothing. efficiency: share of the peaks, 0 to 1."""

    kernel_us: float
    efficiency: float

    def ms(self, layers: Sequence[Layer], gpu: Gpu) -> float:
        """Time of a plan's layers, one after the other."""
        kernels, work = terms(layers, gpu)
        return self.kernel_us * kernels / 1e3 + work / self.efficiency


def terms(layers: Sequence[Layer], gpu: Gpu) -> tuple[int, float]:
    """The number of kernels, and the milliseconds that their work would take at the peaks of `gpu`."""
    peak = max(gpu.tflops.values())
    work = sum(
        layer.flops / (gpu.tflops.get(layer.type, peak) * 1e9) + layer.bytes / (gpu.bandwidth_gbs * 1e6)
        for layer in layers
    )
    return len(layers), work


def fit(measured: Sequence[tuple[Sequence[Layer], float]], gpu: Gpu) -> Model:
    """The model that fits (layers, milliseconds) measured on `gpu` best, by relative error.

    Raises ProjectionError where the times do not tell kernels and work apart.
    """
    rows = np.array([[kernels / 1e3, work] for kernels, work in (terms(layers, gpu) for layers, _ in measured)])
    times = np.array([ms for _, ms in measured])
    (kernel_us, inverse), _ = nnls(rows / times[:, None], np.ones(len(times)))
    # Nothing exceeds its peak: where the fit says so, the measured GPU was waiting for kernels to start, and no more.
    if kernel_us == 0 or inverse == 0:
        raise ProjectionError(
            f"{len(times)} measured plans do not tell kernels and work apart: measure other sizes too"
        )
    return Model(float(kernel_us), float(min(1.0, 1 / inverse)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("measured", type=Path, help="JSON of `cone-tools benchmark`, as docs/benchmarks/h200.json")
    parser.add_argument("--inspected", type=Path, required=True, help="folder of the inspector's JSON of its plans")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="manifests of ONNX files to project")
    parser.add_argument("--known", type=Path, nargs="*", default=[], help="ONNX files named as the known points")
    parser.add_argument("--output", type=Path, help="JSON file to write, as docs/benchmarks/rtx4060.json")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    try:
        report = project(args.measured, args.inspected, args.manifests, args.known)
    except (BuildError, EngineError, ManifestError, OSError, ProjectionError) as error:
        console.print(f"[red]{error}")
        return 1
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(report, indent=1) + "\n")
    table = Table(title=f"{RTX_4060.name}, simulated, error about {report['error_pct']:.0f} %")
    for column in ("model", "precision", "canvas", "upload ms", "compute ms", "frame ms"):
        table.add_column(column)
    for one in report["engines"]:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in one.values()))
    console.print(table)
    return 0


def project(measured: Path, inspected: Path, manifests: Sequence[Path], known: Sequence[Path]) -> dict[str, Any]:
    """The whole report, as it is written. See `add_arguments`."""
    figures = json.loads(measured.read_text())
    gpu = MEASURED_GPUS.get(figures["machine"]["gpu"])
    if gpu is None:
        raise ProjectionError(
            f"no data sheet of {figures['machine']['gpu']} here: known are {', '.join(MEASURED_GPUS)}"
        )
    samples = []
    for one in figures["engines"]:
        file = inspected / f"{one['model']}-{one['canvas']}-{one['precision']}.json"
        samples.append((from_inspector(file.read_text()), float(one["gpu_compute_ms_p50"])))
    model = fit(samples, gpu)
    api = trt_api.load("tensorrt-rtx")
    engines = []
    for path in manifests:
        manifest = read_manifest(path)
        precision: Precision = "int8" if manifest.qdq else "fp16"
        layers = build_plan(api, check_file(path, manifest), precision, compute_capability="8.9").layers
        upload = 2 * manifest.canvas[0] * manifest.canvas[1] * 3 / (RTX_4060.bus_gbs * 1e6)
        compute = model.ms(layers, RTX_4060)
        engines.append(
            {
                "model": manifest.model, "precision": precision, "canvas": manifest.name,
                "upload_ms": round(upload, 3), "compute_ms": round(compute, 3), "frame_ms": round(upload + compute, 3),
            }
        )  # fmt: skip
    points = []
    for file in known:
        if file.stem not in KNOWN_MS:
            raise ProjectionError(f"{file} is named as no known point: {', '.join(KNOWN_MS)}")
        ms = model.ms(build_plan(api, file, "fp16", compute_capability="8.9").layers, RTX_4060)
        truth = KNOWN_MS[file.stem]
        points.append(
            {
                "model": file.stem, "known_ms": truth, "projected_ms": round(ms, 3),
                "error_pct": round(100 * (ms / truth - 1), 1),
            }
        )  # fmt: skip
    dearest = max(engines, key=lambda one: float(str(one["frame_ms"])))
    return {
        "simulated": True,
        "gpu": asdict(RTX_4060),
        "calibrated_on": gpu.name,
        "model": asdict(model),
        "fit_error_pct": [round(100 * (model.ms(layers, gpu) / ms - 1), 1) for layers, ms in samples],
        "frame_ms": dearest["frame_ms"],
        "error_pct": max((abs(float(str(point["error_pct"]))) for point in points), default=float("nan")),
        "points": points,
        "engines": engines,
    }
