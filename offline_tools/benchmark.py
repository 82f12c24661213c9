# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools benchmark`: what each TensorRT plan costs on this GPU, from the network alone to cones in space.

Every time is taken over frames of a recording, after a burn-in; GPU times are the GPU's own.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from cone_detector.detector import StereoDetector
from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError, read_manifest
from cone_detector.engine.tensorrt import TensorRtEngine
from cone_detector.frames import Frame
from cone_detector.paths import shared
from cone_detector.replay.bag_topics import BagError
from cone_detector.replay.bags import StereoBag
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import CalibrationError, CameraModel, StereoCalibration
from cone_detector.stereo.locator import StereoLocator
from offline_tools.benchmark_plot import plot_report
from offline_tools.build.plan import BuildError, build_plan
from offline_tools.naive import measure_naive

_BURN_IN = 100
_PACE_HZ = 60.0
Pair = tuple[Frame, Frame]


@dataclass(frozen=True)
class EngineFigures:
    """One plan's figures; times in milliseconds for a pair of images.

    gpu_graph: upload, network and download as one CUDA graph, by CUDA events; gpu_compute: the network's part of it.
    host_rows: from the call to rows in host memory, by the host's clock, with the graph; enqueue: the same without a
    graph; sleeping: the same with a graph and a host that sleeps meanwhile. detector: two camera images in, 2D
    detections in original pixels out. cones: to 3D. paced: at 60 pairs a second, where GPUs clock down between pairs.
    cpu_share: of one core, at that pace. allocations_per_frame: the engine's own CUDA allocations; gpu_growth_kb: GPU
    memory that was free before those frames and is not after them; host_kb_per_frame: the most Python memory that a
    frame takes for a while. naive: two camera images to rows as in `naive`, of the same model in FP16.
    """

    model: str
    precision: str
    canvas: str
    runtime: str
    frames: int
    gpu_graph_ms_p50: float
    gpu_graph_ms_p99: float
    gpu_compute_ms_p50: float
    gpu_upload_ms_p50: float
    enqueue_ms_p50: float
    host_rows_ms_p50: float
    host_rows_ms_p99: float
    sleeping_ms_p50: float
    sleeping_ms_p99: float
    detector_ms_p50: float
    detector_ms_p99: float
    cones_ms_p50: float
    cones_ms_p99: float
    paced_detector_ms_p50: float
    paced_detector_ms_p99: float
    cpu_share: float
    allocations_per_frame: float
    gpu_growth_kb: float
    host_kb_per_frame: float
    naive_ms_p50: float | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("manifests", type=Path, nargs="+", help="manifests of TensorRT plans")
    parser.add_argument(
        "--bag", type=Path, default=shared("config") / "sample", help="recording with CameraInfo (default: the sample)"
    )
    parser.add_argument("--frames", type=int, default=5000, help="pairs for each figure (%(default)s)")
    parser.add_argument("--paced", type=int, default=600, help="pairs at 60 Hz (%(default)s)")
    parser.add_argument("--naive", type=Path, help="ultralytics' own ONNX of two 640x640 images, for the baseline")
    parser.add_argument("--output", type=Path, help="JSON file to write, as docs/benchmarks/h200.json")
    parser.add_argument("--plot", type=Path, help="PNG to draw of all that the JSON file then holds")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    try:
        pairs, calibration = read_pairs(args.bag)
        figures = [measure(path, pairs, calibration, args.frames, args.paced) for path in args.manifests]
        if args.naive:
            api = trt_api.load("tensorrt")
            baseline = build_plan(api, args.naive, "fp16").content
            naive = _p(measure_naive(api, baseline, pairs, min(args.frames, 1000)), 50)
            figures = [replace(one, naive_ms_p50=naive) for one in figures]
        if args.output:
            write_report(args.output, figures)
        if args.output and args.plot:
            plot_report(args.output, args.plot)
    except (BagError, BuildError, CalibrationError, EngineError, ManifestError, OSError) as error:
        console.print(f"[red]{error}")
        return 1
    console.print(_table(figures))
    return 0


def read_pairs(path: Path, limit: int = 64) -> tuple[list[Pair], StereoCalibration]:
    """The first pairs of a recording, decoded, and its calibration. Raises BagError or CalibrationError."""
    with StereoBag(path) as bag:
        infos = bag.infos()
        if None in infos:
            raise BagError(f"{path} has no CameraInfo of both cameras: cones in space cannot be measured")
        pairs = [pair.frames() for pair, _ in zip(bag.pairs(), range(limit), strict=False)]
    left, right = (
        CameraModel((int(i.width), int(i.height)), tuple(i.p), tuple(i.k), tuple(i.d), tuple(i.r))  # type: ignore[union-attr]
        for i in infos
    )
    return pairs, StereoCalibration.from_cameras(left, right)


def measure(
    manifest_path: Path, pairs: Sequence[Pair], calibration: StereoCalibration, frames: int, paced: int
) -> EngineFigures:
    """All figures of one plan. Raises ManifestError or EngineError where it does not run here."""
    manifest = read_manifest(manifest_path)
    name = manifest.name
    enqueue, _ = _infer_times(TensorRtEngine([manifest_path], 1, graphs=False), name, pairs, frames)
    sleeping, _ = _infer_times(TensorRtEngine([manifest_path], 1, wait="sleep"), name, pairs, frames)
    rows, gpu = _infer_times(TensorRtEngine([manifest_path], 1), name, pairs, frames)

    flat = Settings({"policy.name": f"fixed_{name}", "stereo.enabled": False})
    in_space = Settings({"policy.name": f"fixed_{name}"})
    engine = TensorRtEngine([manifest_path], 1)
    if engine.notes:
        raise EngineError(f"{manifest_path} would be measured in another state than it should: {engine.notes}")
    detector = StereoDetector(engine, flat, StereoLocator(calibration, in_space))
    try:
        detect = _over(pairs, lambda pair: detector.detect(*pair))
        to_2d = _time(detect, frames)
        slow, cpu = _time_paced(detect, paced)
        free = _free_kb()
        allocations, host_kb = _allocations(detect, min(frames, 200))
        growth = free - _free_kb()
        detector.settings = in_space
        to_3d = _time(detect, frames)
    finally:
        detector.close()
    return EngineFigures(
        model=manifest.model,
        precision=manifest.precision,
        canvas=name,
        runtime=f"{manifest.runtime.name} {manifest.runtime.version}",
        frames=frames,
        gpu_graph_ms_p50=_p(gpu.sum(axis=1), 50),
        gpu_graph_ms_p99=_p(gpu.sum(axis=1), 99),
        gpu_compute_ms_p50=_p(gpu[:, 1], 50),
        gpu_upload_ms_p50=_p(gpu[:, 0], 50),
        enqueue_ms_p50=_p(enqueue, 50),
        host_rows_ms_p50=_p(rows, 50),
        host_rows_ms_p99=_p(rows, 99),
        sleeping_ms_p50=_p(sleeping, 50),
        sleeping_ms_p99=_p(sleeping, 99),
        detector_ms_p50=_p(to_2d, 50),
        detector_ms_p99=_p(to_2d, 99),
        cones_ms_p50=_p(to_3d, 50),
        cones_ms_p99=_p(to_3d, 99),
        paced_detector_ms_p50=_p(slow, 50),
        paced_detector_ms_p99=_p(slow, 99),
        cpu_share=round(cpu, 3),
        allocations_per_frame=allocations,
        gpu_growth_kb=growth,
        host_kb_per_frame=round(host_kb, 1),
    )


def write_report(file: Path, figures: Sequence[EngineFigures]) -> None:
    """Writes figures with machine and versions; those of other plans that the file holds stay."""
    found = json.loads(file.read_text()) if file.exists() else {}
    new = [asdict(one) for one in figures]
    keys = [_key(one) for one in new]
    kept = [one for one in found.get("engines", []) if _key(one) not in keys]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**found, "machine": _machine(), "engines": kept + new}, indent=1) + "\n")


def _key(record: dict[str, Any]) -> tuple[str, str, str]:
    return record["model"], record["precision"], record["canvas"]


def _infer_times(
    engine: TensorRtEngine, name: str, pairs: Sequence[Pair], count: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Host times of `infer`, (count,), and the GPU's own (count, 3): upload, compute, download. Closes the engine."""
    try:
        writer = StereoDetector(engine, Settings({"policy.name": f"fixed_{name}"}))
        writer.write(0, 0, pairs[0][0])
        writer.write(0, 1, pairs[0][1])
        for _ in range(_BURN_IN):
            engine.infer(name, 0)
        host, gpu = np.zeros(count), np.zeros((count, 3))
        for index in range(count):
            start = time.perf_counter_ns()
            engine.infer(name, 0)
            host[index] = (time.perf_counter_ns() - start) / 1e6
            gpu[index] = engine.times.upload_ms, engine.times.compute_ms, engine.times.download_ms
    finally:
        engine.close()
    return host, gpu


def _over(pairs: Sequence[Pair], work: Callable[[Pair], object]) -> Callable[[int], object]:
    return lambda index: work(pairs[index % len(pairs)])


def _time(work: Callable[[int], object], count: int) -> np.ndarray[Any, Any]:
    """Milliseconds of each call, back to back."""
    for index in range(_BURN_IN):
        work(index)
    spent = np.zeros(count)
    for index in range(count):
        start = time.perf_counter_ns()
        work(index)
        spent[index] = (time.perf_counter_ns() - start) / 1e6
    return spent


def _time_paced(work: Callable[[int], object], count: int) -> tuple[np.ndarray[Any, Any], float]:
    """Milliseconds of each call at camera rate, and the share of one core that the process used meanwhile."""
    spent = np.zeros(count)
    cpu, begin = time.process_time(), time.perf_counter()
    for index in range(count):
        time.sleep(max(0.0, begin + index / _PACE_HZ - time.perf_counter()))
        start = time.perf_counter_ns()
        work(index)
        spent[index] = (time.perf_counter_ns() - start) / 1e6
    return spent, (time.process_time() - cpu) / (time.perf_counter() - begin)


def _allocations(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """CUDA allocations a call, and the most Python memory in kilobytes that a call takes while it runs."""
    tracemalloc.start()
    highest = 0
    with _counted_allocations() as calls:
        for index in range(count):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            work(index)
            highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return len(calls) / count, highest / 1e3


def _free_kb() -> float:
    return float(cuda.call(cuda.runtime().cudaMemGetInfo)) / 1e3


@contextmanager
def _counted_allocations() -> Iterator[list[str]]:
    """Lists the name of each allocating function of the CUDA runtime that the engine calls in the with-block."""
    calls: list[str] = []
    cudart = cuda.runtime()

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return call

    with ExitStack() as patches:
        for name in ("cudaMalloc", "cudaHostAlloc"):
            patches.enter_context(mock.patch.object(cudart, name, counted(name, getattr(cudart, name))))
        yield calls


def _machine() -> dict[str, str]:
    device = cuda.device()
    return {
        "gpu": device.name,
        "compute_capability": device.compute_capability,
        "driver": device.driver,
        "cpu": _cpu(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "cuda_python": version("cuda-python"),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _p(values: np.ndarray[Any, Any], which: float) -> float:
    return round(float(np.percentile(values, which)), 4)


def _table(figures: Sequence[EngineFigures]) -> Table:
    table = Table(title="milliseconds a pair: p50, where not said otherwise")
    columns = {
        "model": "model", "precision": "precision", "canvas": "canvas", "gpu_graph_ms_p50": "GPU",
        "enqueue_ms_p50": "rows, no graph", "host_rows_ms_p50": "rows", "sleeping_ms_p50": "rows, asleep",
        "detector_ms_p50": "2D", "detector_ms_p99": "2D p99", "cones_ms_p50": "3D",
        "paced_detector_ms_p99": "2D at 60 Hz p99", "cpu_share": "CPU", "naive_ms_p50": "naive",
    }  # fmt: skip
    for title in columns.values():
        table.add_column(title)
    for one in figures:
        values = asdict(one)
        table.add_row(*(f"{values[c]:.3f}" if isinstance(values[c], float) else str(values[c]) for c in columns))
    return table
