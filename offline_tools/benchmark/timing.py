# SPDX-License-Identifier: AGPL-3.0-only
"""Clocks: the host's time of each call, the CPU that it takes, and what it allocates."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine import cuda

BURN_IN = 100
PACE_HZ = 60.0
Work = Callable[[int], object]
Item = TypeVar("Item")


def time_each(work: Callable[[Item], object], count: int, bring: Callable[[int], Item]) -> NDArray[np.float64]:
    """Milliseconds of each call, back to back, after a burn-in. bring: what to work on, had before the clock starts."""
    for index in range(BURN_IN):
        work(bring(index))
    spent = np.zeros(count)
    for index in range(count):
        item = bring(index)
        start = time.perf_counter_ns()
        work(item)
        spent[index] = (time.perf_counter_ns() - start) / 1e6
    return spent


def time_paced(
    work: Callable[[Item], object], count: int, bring: Callable[[int], Item]
) -> tuple[NDArray[np.float64], float]:
    """Milliseconds of each call at camera rate, and the share of one core that the process used during the calls."""
    spent = np.zeros(count)
    cpu, begin = 0.0, time.perf_counter()
    for index in range(count):
        time.sleep(max(0.0, begin + index / PACE_HZ - time.perf_counter()))
        item = bring(index)
        used, start = time.process_time(), time.perf_counter_ns()
        work(item)
        spent[index] = (time.perf_counter_ns() - start) / 1e6
        cpu += time.process_time() - used
    return spent, cpu / (time.perf_counter() - begin)


def allocations(work: Work, count: int) -> tuple[float, float]:
    """CUDA allocations a call, and the most Python memory in kilobytes that a call takes while it runs."""
    tracemalloc.start()
    highest = 0
    with _counted() as calls:
        for index in range(count):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            work(index)
            highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return len(calls) / count, highest / 1e3


def free_kb() -> float:
    """GPU memory that nobody holds."""
    return float(cuda.call(cuda.runtime().cudaMemGetInfo)) / 1e3


def percentile(values: NDArray[np.float64], which: float) -> float:
    """As it is recorded: to a tenth of a microsecond."""
    return round(float(np.percentile(values, which)), 4)


@contextmanager
def _counted() -> Iterator[list[str]]:
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
