# SPDX-License-Identifier: AGPL-3.0-only
"""The limit: a network that is enqueued over and over and waited for once, as `trtexec --noDataTransfers` does.

No image goes in, nobody looks at a result, the GPU never waits for the host. No detector can be faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cone_detector.engine import cuda
from cone_detector.engine.contract import ROWS
from cone_detector.engine.manifest import check_file, read_manifest
from cone_detector.engine.tensorrt_plan import Plan
from offline_tools.benchmark.timing import percentile

# Pairs that are enqueued before the host waits: enough to hide the wait, few enough for the launch queue.
_RUN = 50


@dataclass(frozen=True)
class Limit:
    """GPU milliseconds a pair, median over runs: enqueued kernel by kernel, and as a CUDA graph of the network."""

    enqueue_ms: float
    graph_ms: float


@dataclass(frozen=True)
class UploadRates:
    """Gigabytes a second from host to GPU: from page-locked memory, and from ordinary memory, as numpy allocates it."""

    page_locked_gb_s: float
    pageable_gb_s: float


def measure_limit(manifest_path: Path, pairs: int, on: cuda.Stream | None = None) -> Limit:
    """on: the stream to use, one of its own by default. Raises ManifestError or EngineError where it cannot run."""
    manifest = read_manifest(manifest_path)
    file = check_file(manifest_path, manifest)
    width, height = manifest.input_size
    stream, begin, end = on or cuda.Stream(), cuda.Event(), cuda.Event()
    memory = [cuda.DeviceMemory(2 * height * width * 3), cuda.DeviceMemory(2 * ROWS * 6 * 4)]
    plan = Plan(file, manifest, memory[0], memory[1], np.zeros((2, ROWS, 6), np.float32))
    try:
        plan.enqueue(stream)
        stream.synchronize()
        graph = stream.capture(lambda: plan.enqueue(stream))
        times = {}
        for name, start in (("enqueue", lambda: plan.enqueue(stream)), ("graph", lambda: graph.launch(stream))):
            spent = []
            for _ in range(max(1, pairs // _RUN) + 1):
                stream.record(begin)
                for _ in range(_RUN):
                    start()
                stream.record(end)
                stream.synchronize()
                spent.append(end.ms_since(begin) / _RUN)
            # The first run brings graph and kernels to the GPU.
            times[name] = percentile(np.array(spent[1:]), 50)
        graph.close()
    finally:
        plan.close()
        _free(*memory, begin, end)
        if on is None:
            stream.close()
    return Limit(times["enqueue"], times["graph"])


def measure_uploads(size: int, count: int = 200) -> UploadRates:
    """Rates of uploads of `size` bytes, by the GPU's clock. Raises CudaError."""
    stream, begin, end = cuda.Stream(), cuda.Event(), cuda.Event()
    target = cuda.DeviceMemory(size)
    rates = []
    try:
        for source in (cuda.page_locked((size,), np.uint8), np.ones(size, np.uint8)):
            spent = []
            for _ in range(count):
                stream.record(begin)
                stream.upload(target, source)
                stream.record(end)
                stream.synchronize()
                spent.append(end.ms_since(begin))
            rates.append(round(size / 1e6 / float(np.median(spent[count // 10 :])), 2))
    finally:
        _free(target, begin, end, stream)
    return UploadRates(*rates)


def _free(*things: cuda.DeviceMemory | cuda.Event | cuda.Stream) -> None:
    for thing in things:
        thing.close()
