# SPDX-License-Identifier: AGPL-3.0-only
"""The figures of one plan, from the network alone to cones in space.

Every time is taken over frames of a recording, after a burn-in; GPU times are the GPU's own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.detector import StereoDetector
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import read_manifest
from cone_detector.engine.tensorrt import TensorRtEngine
from cone_detector.process import settle_garbage
from cone_detector.replay.bag_topics import BagError
from cone_detector.replay.bags import StereoBag
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import CameraModel, StereoCalibration
from cone_detector.stereo.locator import StereoLocator
from offline_tools.benchmark.arrivals import Arrivals, Pair
from offline_tools.benchmark.limit import measure_limit
from offline_tools.benchmark.plan_facts import PlanAccuracy, PlanFacts, read_facts
from offline_tools.benchmark.rows import RowFigures
from offline_tools.benchmark.timing import BURN_IN, allocations, free_kb, percentile, time_each, time_paced


@dataclass(frozen=True)
class EngineFigures:
    """One plan's figures; times in milliseconds for a pair of images.

    gpu_graph: upload, network and download as one CUDA graph, by CUDA events; gpu_compute: the network's part of it.
    host_rows: from the call to rows in host memory, by the host's clock, with the graph; enqueue: the same without a
    graph; sleeping: the same with a graph and a host that sleeps meanwhile. detector: two camera images in, as in
    `arrivals`, 2D detections in original pixels out. cones: to 3D; cones_found: median number of them a pair. paced: at
    60 pairs a second, where GPUs clock down between pairs. cpu_share: of one core, at that pace, while frames are in
    work. allocations_per_frame: the engine's own CUDA allocations; gpu_growth_kb: GPU memory that was free before those
    frames and is not after them; host_kb_per_frame: the most Python memory that a frame takes for a while. limit: as in
    `limit`, without and with a graph. graph_gain: enqueue over host_rows. naive: two camera images to rows as in
    `naive`, of the same model in FP16; at 640 only. rows, accuracy: against the float ONNX.
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
    cones_found: float
    paced_detector_ms_p50: float
    paced_detector_ms_p99: float
    cpu_share: float
    allocations_per_frame: float
    gpu_growth_kb: float
    host_kb_per_frame: float
    limit_enqueue_ms: float
    limit_graph_ms: float
    graph_gain: float
    plan: PlanFacts
    naive_ms_p50: float | None = None
    rows: RowFigures | None = None
    accuracy: PlanAccuracy | None = None


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
    """All figures of one plan.

    Raises ManifestError or EngineError where it does not run here, BagError where a pair cannot be located in space.
    """
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
        # As in the node.
        settle_garbage()
        detector.settings = in_space
        cones = _cones_found(detector, pairs)
        detector.settings = flat
        arrivals = Arrivals(pairs)
        to_2d = time_each(_detect(detector), frames, arrivals.bring)
        slow, cpu = time_paced(_detect(detector), paced, arrivals.bring)
        free = free_kb()
        cuda_calls, host_kb = allocations(lambda index: detector.detect(*pairs[index % len(pairs)]), min(frames, 200))
        growth = free - free_kb()
        detector.settings = in_space
        to_3d = time_each(_detect(detector), frames, arrivals.bring)
    finally:
        gc.unfreeze()
        detector.close()
    limit = measure_limit(manifest_path, frames)
    return EngineFigures(
        model=manifest.model,
        precision=manifest.precision,
        canvas=name,
        runtime=f"{manifest.runtime.name} {manifest.runtime.version}",
        frames=frames,
        gpu_graph_ms_p50=percentile(gpu.sum(axis=1), 50),
        gpu_graph_ms_p99=percentile(gpu.sum(axis=1), 99),
        gpu_compute_ms_p50=percentile(gpu[:, 1], 50),
        gpu_upload_ms_p50=percentile(gpu[:, 0], 50),
        enqueue_ms_p50=percentile(enqueue, 50),
        host_rows_ms_p50=percentile(rows, 50),
        host_rows_ms_p99=percentile(rows, 99),
        sleeping_ms_p50=percentile(sleeping, 50),
        sleeping_ms_p99=percentile(sleeping, 99),
        detector_ms_p50=percentile(to_2d, 50),
        detector_ms_p99=percentile(to_2d, 99),
        cones_ms_p50=percentile(to_3d, 50),
        cones_ms_p99=percentile(to_3d, 99),
        cones_found=cones,
        paced_detector_ms_p50=percentile(slow, 50),
        paced_detector_ms_p99=percentile(slow, 99),
        cpu_share=round(cpu, 3),
        allocations_per_frame=cuda_calls,
        gpu_growth_kb=growth,
        host_kb_per_frame=round(host_kb, 1),
        limit_enqueue_ms=limit.enqueue_ms,
        limit_graph_ms=limit.graph_ms,
        graph_gain=round(float(np.median(enqueue) / np.median(rows)), 3),
        plan=read_facts(manifest_path),
    )


def _cones_found(detector: StereoDetector, pairs: Sequence[Pair]) -> float:
    """Median number of cones a pair. Raises BagError at one that stays in 2D, whose time would pass for one of 3D."""
    counts = []
    for pair in pairs:
        result = detector.detect(*pair)
        if result.cones is None:
            raise BagError(f"the time of cones in space cannot be measured on this recording: {result.no_cones_reason}")
        counts.append(len(result.cones))
    return float(np.median(counts))


def _infer_times(
    engine: TensorRtEngine, name: str, pairs: Sequence[Pair], count: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Host times of `infer`, (count,), and the GPU's own (count, 3): upload, compute, download. Closes the engine."""
    try:
        writer = StereoDetector(engine, Settings({"policy.name": f"fixed_{name}"}))
        writer.write(0, 0, pairs[0][0])
        writer.write(0, 1, pairs[0][1])
        for _ in range(BURN_IN):
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


def _detect(detector: StereoDetector) -> Callable[[Pair], object]:
    return lambda pair: detector.detect(*pair)
