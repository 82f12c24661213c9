# SPDX-License-Identifier: AGPL-3.0-only
"""A network on a part of the GPU: how it slows down where, as on the car's small GPU, multiprocessors (SMs) are few.

A CUDA green context reserves SMs (driver 12.4 and later); memory and caches stay those of the whole GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cone_detector.engine import cuda
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import read_manifest
from offline_tools.benchmark.limit import measure_limit


@dataclass(frozen=True)
class FewSms:
    """GPU milliseconds a pair of the network alone, as a CUDA graph, on `sms` multiprocessors."""

    model: str
    precision: str
    canvas: str
    sms: int
    graph_ms: float


def measure_few_sms(manifest_path: Path, counts: Sequence[int], pairs: int = 500) -> list[FewSms]:
    """Times one plan on each number of SMs, and on all. Raises EngineError where the driver cannot divide the GPU."""
    manifest = read_manifest(manifest_path)
    whole = measure_limit(manifest_path, pairs).graph_ms
    found = [FewSms(manifest.model, manifest.precision, manifest.name, sm_count(), whole)]
    for count in counts:
        with stream_on(count) as (stream, got):
            time = measure_limit(manifest_path, pairs, stream).graph_ms
            found.append(FewSms(manifest.model, manifest.precision, manifest.name, got, time))
    return found


def sm_count() -> int:
    """Multiprocessors of the GPU."""
    return int(_all_sms(_driver()).sm.smCount)


@contextmanager
def stream_on(count: int) -> Iterator[tuple[cuda.Stream, int]]:
    """A stream whose work runs on at least `count` SMs and no others; with how many these are.

    The driver hands SMs out in groups. Raises EngineError where it hands out none.
    """
    driver = _driver()
    with ExitStack() as close:
        # Whatever is made first also makes the device's own context, which green ones share.
        stream = cuda.Stream()
        own = stream.handle
        close.callback(lambda: cuda.runtime().cudaStreamDestroy(own))
        parts, *_ = _call(driver, driver.cuDevSmResourceSplitByCount, 1, _all_sms(driver), 0, count)
        (description,) = _call(driver, driver.cuDevResourceGenerateDesc, [parts[0]], 1)
        flag = int(driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM)
        (green,) = _call(driver, driver.cuGreenCtxCreate, description, _device(driver), flag)
        close.callback(driver.cuGreenCtxDestroy, green)
        (context,) = _call(driver, driver.cuCtxFromGreenCtx, green)
        flag = int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        (handle,) = _call(driver, driver.cuGreenCtxStreamCreate, green, flag, 0)
        close.callback(driver.cuStreamDestroy, handle)
        stream.handle = cuda.runtime().cudaStream_t(int(handle))
        _call(driver, driver.cuCtxPushCurrent, context)
        close.callback(driver.cuCtxPopCurrent)
        yield stream, int(parts[0].sm.smCount)
        stream.synchronize()


def _driver() -> Any:
    cuda.device()
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise EngineError(f"cuda-python has no driver API here ({error}): install 12.4 or later") from error
    return driver


def _device(driver: Any) -> Any:
    _call(driver, driver.cuInit, 0)
    (device,) = _call(driver, driver.cuDeviceGet, 0)
    return device


def _all_sms(driver: Any) -> Any:
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    (resource,) = _call(driver, driver.cuDeviceGetDevResource, _device(driver), kind)
    return resource


def _call(driver: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    code, *values = function(*arguments)
    if code != driver.CUresult.CUDA_SUCCESS:
        raise EngineError(f"{function.__name__}: {code.name}: this driver cannot give a stream some of the SMs")
    return values
