# SPDX-License-Identifier: AGPL-3.0-only
"""Part of a GPU: work goes to the stream of a green context, which is left and freed afterwards, on a fake driver."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from doubles import MANIFEST_640
from fake_gpu import FakeGpu, install, plan

from cone_detector.engine import cuda
from cone_detector.engine.contract import EngineError
from offline_tools.benchmark.few_sms import measure_few_sms, stream_on

OK = SimpleNamespace(name="CUDA_SUCCESS")
GREEN_STREAM = 42


class FakeDriver(ModuleType):
    """Hands SMs out in eights, and logs what is made, entered and freed."""

    def __init__(self) -> None:
        super().__init__("driver")
        self.log: list[str] = []
        self.refuses = ""
        self.CUresult = SimpleNamespace(CUDA_SUCCESS=OK)
        self.CUdevResourceType = SimpleNamespace(CU_DEV_RESOURCE_TYPE_SM=1)
        self.CUgreenCtxCreate_flags = SimpleNamespace(CU_GREEN_CTX_DEFAULT_STREAM=1)
        self.CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
        whole = SimpleNamespace(sm=SimpleNamespace(smCount=132))
        answers: dict[str, Callable[..., list[Any]]] = {
            "cuInit": lambda flags: [],
            "cuDeviceGet": lambda index: [index],
            "cuDeviceGetDevResource": lambda device, kind: [whole],
            "cuDevSmResourceSplitByCount": self._split,
            "cuDevResourceGenerateDesc": lambda parts, count: ["description"],
            "cuGreenCtxCreate": lambda description, device, flags: ["green"],
            "cuCtxFromGreenCtx": lambda green: ["context"],
            "cuGreenCtxStreamCreate": lambda green, flags, priority: [GREEN_STREAM],
            "cuCtxPushCurrent": lambda context: [],
            "cuCtxPopCurrent": lambda: ["context"],
            "cuStreamDestroy": lambda stream: [],
            "cuGreenCtxDestroy": lambda green: [],
        }
        for name, answer in answers.items():
            setattr(self, name, self._logged(name, answer))

    def _split(self, groups: int, whole: Any, flags: int, count: int) -> list[Any]:
        part = SimpleNamespace(sm=SimpleNamespace(smCount=-(-count // 8) * 8))
        return [[part], 1, whole]

    def _logged(self, name: str, answer: Callable[..., list[Any]]) -> Callable[..., tuple[Any, ...]]:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self.log.append(name)
            if name == self.refuses:
                return (SimpleNamespace(name="CUDA_ERROR_NOT_SUPPORTED"), *[None] * 3)
            return (OK, *answer(*arguments))

        call.__name__ = name
        return call


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    gpu = install(monkeypatch)
    monkeypatch.setattr(cuda.runtime(), "cudaStream_t", int, raising=False)
    return gpu


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    driver = FakeDriver()
    bindings = ModuleType("cuda.bindings")
    bindings.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    return driver


def test_a_plan_is_timed_on_each_part_and_on_the_whole(gpu: FakeGpu, driver: FakeDriver, tmp_path: Path) -> None:
    found = measure_few_sms(plan(tmp_path, MANIFEST_640), [8, 20], pairs=50)
    assert [one.sms for one in found] == [132, 8, 24]
    assert all(one.graph_ms > 0 for one in found)


def test_the_part_is_left_before_it_is_freed(gpu: FakeGpu, driver: FakeDriver) -> None:
    with stream_on(20) as (stream, count):
        assert (stream.handle, count) == (GREEN_STREAM, 24)
    assert driver.log[-3:] == ["cuCtxPopCurrent", "cuStreamDestroy", "cuGreenCtxDestroy"]


def test_a_driver_that_cannot_divide_the_gpu_says_so(gpu: FakeGpu, driver: FakeDriver) -> None:
    driver.refuses = "cuDevSmResourceSplitByCount"
    with pytest.raises(EngineError, match="CUDA_ERROR_NOT_SUPPORTED: this driver cannot"), stream_on(8):
        pass
