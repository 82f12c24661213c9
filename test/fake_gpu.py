# SPDX-License-Identifier: Apache-2.0
"""A GPU for machines without one: CUDA and TensorRT as modules that log each call and do it in host memory.

Copies really copy, a captured graph does nothing until it is launched, and the "network" returns rows that are made of
the canvas it finds on the "device". So a test sees both the order of calls and which pixels a pass really read.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import ROWS
from cone_detector.engine.manifest import Gpu, Manifest, Runtime, file_sha256, write_manifest

NAME, COMPUTE_CAPABILITY, VERSION = "Fake RTX 4060", (8, 9), "10.3.0"


# What the inspector tells of each plan, in the form of TensorRT 8.6: a convolution, and a copy in front of it.
LAYERS = [
    {
        "Name": "Reformatting CopyNode for Input Tensor 0 to conv",
        "LayerType": "Reformat",
        "Inputs": [{"Dimensions": [2, 3, 8, 8], "Format/Datatype": "Row major linear FP32"}],
        "Outputs": [{"Dimensions": [2, 3, 8, 8], "Format/Datatype": "Row major linear FP16 format"}],
    },
    {
        "Name": "conv",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Dimensions": [2, 3, 8, 8], "Format/Datatype": "Row major linear FP16 format"}],
        "Outputs": [{"Dimensions": [2, 4, 8, 8], "Format/Datatype": "Row major linear FP16 format"}],
        "OutMaps": 4,
        "Weights": {"Type": "Half", "Count": 108},
    },
]


class Code(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900


class FakeGpu:
    """What happens on the GPU, and what goes wrong there.

    log: calls that put work on the stream, in order. fail: function name to the code that it returns from now on.
    network: what each pass computes, (2, H, W, 3) uint8 to (2, ROWS, 6).
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fail: dict[str, Code] = {}
        self.allocated: dict[int, Any] = {}
        self.captures: list[Callable[[], None]] | None = None
        self.graphs: list[list[Callable[[], None]]] = []
        self.enqueue_works = True
        self.opened: list[bytes] = []
        self.network = top_left_and_last_row

    def submit(self, name: str, work: Callable[[], None]) -> None:
        """Does work on the stream now, or keeps it for the graph that is being captured."""
        if self.captures is not None:
            self.captures.append(lambda: self._do(name, work))
        else:
            self._do(name, work)

    def _do(self, name: str, work: Callable[[], None]) -> None:
        self.log.append(name)
        work()

    def allocate(self, size: int) -> int:
        buffer = (ctypes.c_uint8 * size)()
        pointer = ctypes.addressof(buffer)
        self.allocated[pointer] = buffer
        return pointer

    def free(self, pointer: int) -> None:
        del self.allocated[pointer]


def top_left_and_last_row(canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One row an image: its top left pixel's blue as score in 1/255, its last row's red as x1."""
    rows = np.zeros((2, ROWS, 6), np.float32)
    rows[:, 0, 4] = canvas[:, 0, 0, 0] / 255
    rows[:, 0, 0] = canvas[:, -1, 0, 2]
    return rows


def install(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """Puts the fake in the place of cuda-python and TensorRT for one test."""
    gpu = FakeGpu()
    cudart = _runtime(gpu)
    monkeypatch.setattr(cuda, "runtime", lambda: cudart)
    api = trt_api.Api("tensorrt", _tensorrt(gpu))
    monkeypatch.setattr(trt_api, "load", lambda name: api)
    return gpu


def plan(folder: Path, manifest: Manifest, content: bytes | None = None) -> Path:
    """Writes a plan that the fake opens, and its manifest; returns the manifest's path."""
    file = folder / f"{manifest.name}.plan"
    width, height = manifest.input_size
    file.write_bytes(content or b"plan %d %d" % (height, width))
    path = file.with_suffix(".json")
    write_manifest(path, as_plan(manifest, file.name, file_sha256(file)))
    return path


def as_plan(manifest: Manifest, file: str = "a.plan", digest: str = "0" * 64) -> Manifest:
    return replace(
        manifest, file=file, file_sha256=digest, precision="fp16", runtime=Runtime("tensorrt", VERSION),
        gpu=Gpu(NAME, "8.9"),
    )  # fmt: skip


def _runtime(gpu: FakeGpu) -> Any:
    kinds = SimpleNamespace(cudaMemcpyHostToDevice="upload", cudaMemcpyDeviceToHost="download",
                            cudaMemcpyDeviceToDevice="copy")  # fmt: skip
    times: dict[int, int] = {}

    def copy(target: int, source: int, size: int, kind: str, stream: int) -> None:
        gpu.submit(kind, lambda: ctypes.memmove(target, source, size) and None)

    def begin(stream: int, mode: Any) -> None:
        gpu.captures = []

    def end(stream: int) -> int:
        gpu.graphs.append(gpu.captures or [])
        gpu.captures = None
        return len(gpu.graphs)

    def launch(executable: int, stream: int) -> None:
        gpu.log.append("launch")
        for work in gpu.graphs[executable - 1]:
            work()

    def record(event: int, stream: int, flags: int) -> None:
        assert flags == (gpu.captures is not None), "an event in a graph must be external, and only there"
        gpu.submit("event", lambda: times.update({event: len(gpu.log)}))

    functions: dict[str, Callable[..., Any]] = {
        "cudaGetDeviceCount": lambda: 1,
        "cudaGetDeviceProperties": lambda i: SimpleNamespace(
            name=NAME.encode() + b"\0", major=COMPUTE_CAPABILITY[0], minor=COMPUTE_CAPABILITY[1]
        ),
        "cudaSetDevice": lambda i: None,
        "cudaHostAlloc": lambda size, flags: gpu.allocate(size),
        "cudaFreeHost": gpu.free,
        "cudaMalloc": gpu.allocate,
        "cudaFree": gpu.free,
        "cudaMemGetInfo": lambda: 8_000_000_000,
        "cudaStreamCreateWithFlags": lambda flags: 7,
        "cudaStreamDestroy": lambda stream: None,
        "cudaStreamSynchronize": lambda stream: None,
        "cudaStreamBeginCapture": begin,
        "cudaStreamEndCapture": end,
        "cudaEventCreateWithFlags": lambda flags: gpu.allocate(1),
        "cudaEventRecordWithFlags": record,
        "cudaEventElapsedTime": lambda early, late: float(times[late] - times[early]),
        "cudaEventSynchronize": lambda event: None,
        "cudaEventDestroy": gpu.free,
        "cudaMemcpyAsync": copy,
        "cudaGraphInstantiate": lambda graph, flags: graph,
        "cudaGraphLaunch": launch,
        "cudaGraphDestroy": lambda graph: None,
        "cudaGraphExecDestroy": lambda graph: None,
        "cudaGetLastError": lambda: None,
    }

    def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> tuple[Any, ...]:
            if name in gpu.fail:
                if name == "cudaStreamEndCapture":
                    gpu.captures = None
                return gpu.fail[name], None
            return Code.cudaSuccess, function(*arguments)

        call.__name__ = name
        return call

    return SimpleNamespace(
        cudaHostAllocDefault=0,
        cudaStreamNonBlocking=1,
        cudaEventBlockingSync=1,
        cudaEventRecordDefault=0,
        cudaEventRecordExternal=1,
        cudaMemcpyKind=kinds,
        cudaStreamCaptureMode=SimpleNamespace(cudaStreamCaptureModeThreadLocal=1),
        cudaGetErrorString=lambda code: (Code.cudaSuccess, b"as the test wants"),
        **{name: checked(name, function) for name, function in functions.items()},
    )


def _tensorrt(gpu: FakeGpu) -> ModuleType:
    class Logger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class Context:
        def __init__(self, shape: tuple[int, ...]) -> None:
            self._shape = shape
            self._addresses: dict[str, int] = {}

        def set_tensor_address(self, name: str, pointer: int) -> None:
            self._addresses[name] = pointer

        def execute_async_v3(self, stream: int) -> bool:
            if gpu.enqueue_works:
                gpu.submit("enqueue", self._run)
            return gpu.enqueue_works

        def _run(self) -> None:
            if "frames" not in self._addresses:
                return  # the baseline, whose output stays as it was allocated
            size = int(np.prod(self._shape))
            canvas = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._addresses["frames"]))
            rows = np.ctypeslib.as_array((ctypes.c_float * (2 * ROWS * 6)).from_address(self._addresses["detections"]))
            rows[:] = gpu.network(canvas.reshape(self._shape)).ravel()

    class Engine:
        num_io_tensors = 2

        def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
            self._shapes = shapes

        def get_tensor_name(self, index: int) -> str:
            return list(self._shapes)[index]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return self._shapes[name]

        def get_tensor_dtype(self, name: str) -> str:
            return {"frames": "uint8", "detections": "float32"}[name]

        def create_engine_inspector(self) -> Any:
            return SimpleNamespace(get_engine_information=lambda form: json.dumps({"Layers": LAYERS}))

        def create_execution_context(self) -> Context | None:
            return None if "create_execution_context" in gpu.fail else Context(next(iter(self._shapes.values())))

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            gpu.opened.append(plan)
            words = plan.split()
            if words[:1] == [b"plan"]:
                return Engine({"frames": (2, int(words[1]), int(words[2]), 3), "detections": (2, ROWS, 6)})
            if words[:1] == [b"ultralytics"]:
                return Engine({"images": (2, 3, 640, 640), "output0": (2, int(words[1]), 8400)})
            self._logger.log(Logger.ERROR, "magic tag does not match")
            return None

    module = ModuleType("tensorrt")
    module.__dict__.update(
        __version__=VERSION, ILogger=type("ILogger", (Logger,), {"__init__": lambda self: None}), Runtime=Runtime,
        uint8="uint8", float32="float32", BuilderFlag=SimpleNamespace(FP16=0, INT8=1),
        LayerInformationFormat=SimpleNamespace(JSON=1),
    )  # fmt: skip
    return module
