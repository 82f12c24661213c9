# SPDX-License-Identifier: Apache-2.0
"""The few calls of the CUDA runtime that an engine needs, each with its return code checked.

cuda-python 12 and 13 are served alike. Everything happens on device 0; CUDA_VISIBLE_DEVICES says which GPU that is.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cone_detector.engine.contract import EngineError

_DEVICE = 0
_DRIVER_FILE = Path("/proc/driver/nvidia/version")

_ADVICE = {
    "cudaErrorMemoryAllocation": "memory is full, the GPU's most often: see `nvidia-smi` and end what else uses it",
    "cudaErrorInsufficientDriver": "no NVIDIA driver, or one too old for this CUDA: see `nvidia-smi`",
    "cudaErrorInitializationError": "the driver does not start: see `nvidia-smi` and `dmesg`",
    "cudaErrorNoDevice": "no GPU is visible: see `nvidia-smi` and CUDA_VISIBLE_DEVICES",
    **dict.fromkeys(
        ("cudaErrorIllegalAddress", "cudaErrorLaunchFailure", "cudaErrorLaunchTimeout", "cudaErrorECCUncorrectable"),
        "CUDA is lost for this process: only a restart brings the GPU back",
    ),
    "cudaErrorSystemDriverMismatch": "driver and its libraries differ, as after an update: restart the machine",
}


class CudaError(EngineError):
    """A CUDA call that failed. name: CUDA's own, as "cudaErrorMemoryAllocation"."""

    def __init__(self, call: str, name: str, text: str) -> None:
        advice = f"; {_ADVICE[name]}" if name in _ADVICE else ""
        super().__init__(f"{call}: {name}, {text}{advice}")
        self.name = name


@dataclass(frozen=True)
class Device:
    """The GPU. compute_capability: as "8.9". driver: the NVIDIA driver's version, "" where the system does not tell."""

    name: str
    compute_capability: str
    driver: str


@cache
def runtime() -> Any:
    """cuda-python's module of the CUDA runtime. Raises EngineError where there is none."""
    try:
        from cuda.bindings import runtime as module
    except ImportError:
        try:
            from cuda import cudart as module
        except ImportError as error:
            raise EngineError(f"cuda-python is not installed ({error}): run `pip install cuda-python`") from error
    return module


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of the CUDA runtime; returns what it returns beside its error code. Raises CudaError."""
    code, *values = function(*arguments)
    if code:
        cudart = runtime()
        text = cudart.cudaGetErrorString(code)[1]
        raise CudaError(function.__name__, code.name, text.decode() if isinstance(text, bytes) else str(text))
    return values[0] if values else None


def device() -> Device:
    """The GPU that engines run on. Raises CudaError where there is none or no driver."""
    cudart = runtime()
    if not call(cudart.cudaGetDeviceCount):
        raise CudaError("cudaGetDeviceCount", "cudaErrorNoDevice", "it counts none")
    found = call(cudart.cudaGetDeviceProperties, _DEVICE)
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    return Device(name.strip("\0 "), f"{found.major}.{found.minor}", driver_version())


def check() -> None:
    """Raises CudaError where CUDA no longer works in this process, as after an illegal access on the GPU."""
    call(runtime().cudaMemGetInfo)


def driver_version() -> str:
    """Version of the NVIDIA kernel driver, as "580.159.04"; "" where there is none."""
    with suppress(OSError):
        if found := re.search(r"\b(\d{3,}(?:\.\d+)+)\b", _DRIVER_FILE.read_text()):
            return found[1]
    return ""


def page_locked(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeroed host memory that the GPU reads and writes directly. Freed when the last view of it is gone.

    So whoever still holds a canvas of a closed engine writes into memory that exists.
    """
    cudart = runtime()
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pointer = int(call(cudart.cudaHostAlloc, size, cudart.cudaHostAllocDefault))
    owner = (ctypes.c_uint8 * size).from_address(pointer)
    weakref.finalize(owner, cudart.cudaFreeHost, pointer)
    array: NDArray[Any] = np.ndarray(shape, dtype, memoryview(owner))
    array[...] = 0
    return array


class DeviceMemory:
    """`size` bytes on the GPU, at address `pointer`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pointer = int(call(runtime().cudaMalloc, size))

    def close(self) -> None:
        pointer, self.pointer = self.pointer, 0
        if pointer:
            runtime().cudaFree(pointer)


class Event:
    """A point in a stream's work, with the GPU's own time of it."""

    def __init__(self) -> None:
        cudart = runtime()
        self._handle = call(cudart.cudaEventCreateWithFlags, cudart.cudaEventBlockingSync)

    @property
    def handle(self) -> Any:
        return self._handle

    def ms_since(self, earlier: Event) -> float:
        """Milliseconds on the GPU since `earlier`, both of which must have passed."""
        return float(call(runtime().cudaEventElapsedTime, earlier.handle, self._handle))

    def wait(self) -> None:
        """Sleeps until the event has passed. Raises CudaError where work before it failed."""
        call(runtime().cudaEventSynchronize, self._handle)

    def close(self) -> None:
        runtime().cudaEventDestroy(self._handle)


class Graph:
    """Captured work of a stream, which starts again with a single call."""

    def __init__(self, captured: Any) -> None:
        self._executable = call(runtime().cudaGraphInstantiate, captured, 0)
        self._launch = runtime().cudaGraphLaunch

    def launch(self, stream: Stream) -> None:
        call(self._launch, self._executable, stream.handle)

    def close(self) -> None:
        runtime().cudaGraphExecDestroy(self._executable)


class Stream:
    """Work that the GPU does in order."""

    def __init__(self) -> None:
        cudart = runtime()
        self._cudart = cudart
        call(cudart.cudaSetDevice, _DEVICE)
        self.handle: Any = call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking)
        self._capturing = False

    def upload(self, target: DeviceMemory, source: NDArray[Any]) -> None:
        """Copies page-locked `source` to the GPU; returns before it is there."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(self._cudart.cudaMemcpyAsync, target.pointer, source.ctypes.data, source.nbytes, kind, self.handle)

    def download(self, target: NDArray[Any], source: DeviceMemory) -> None:
        """Copies from the GPU into page-locked `target`; returns before it is there."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call(self._cudart.cudaMemcpyAsync, target.ctypes.data, source.pointer, target.nbytes, kind, self.handle)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copies `size` bytes between two addresses on the GPU."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        call(self._cudart.cudaMemcpyAsync, target, source, size, kind, self.handle)

    def record(self, event: Event) -> None:
        """Marks this point of the work; in a capture, as a node that marks it in every launch of the graph."""
        flags = self._cudart.cudaEventRecordExternal if self._capturing else self._cudart.cudaEventRecordDefault
        call(self._cudart.cudaEventRecordWithFlags, event.handle, self.handle, flags)

    def synchronize(self) -> None:
        """Waits, at full speed, until all work is done. Raises CudaError where any of it failed."""
        call(self._cudart.cudaStreamSynchronize, self.handle)

    def capture(self, work: Callable[[], None]) -> Graph:
        """The graph of what `work` puts on this stream, which is recorded instead of done.

        Raises CudaError where something in it cannot be captured; the stream is usable afterwards.
        """
        cudart = self._cudart
        # Thread-local: what other threads do with CUDA meanwhile, as another engine's load, does not matter.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(cudart.cudaStreamBeginCapture, self.handle, mode)
        self._capturing = True
        try:
            work()
        except BaseException:
            self._discard(cudart.cudaStreamEndCapture(self.handle)[1])
            raise
        finally:
            self._capturing = False
        captured = call(cudart.cudaStreamEndCapture, self.handle)
        try:
            return Graph(captured)
        finally:
            self._discard(captured)

    def close(self) -> None:
        self._cudart.cudaStreamDestroy(self.handle)

    def _discard(self, captured: Any) -> None:
        if captured is not None and int(captured):
            self._cudart.cudaGraphDestroy(captured)
        # A failed capture leaves its error for the next call to find.
        self._cudart.cudaGetLastError()
