# SPDX-License-Identifier: Apache-2.0
"""The engine for NVIDIA GPUs: TensorRT plans over one uploaded canvas, each pass started as one CUDA graph.

Camera images are letterboxed into page-locked slots, the first pass over a slot uploads both at once, and every
further pass over the same pixels reads what already lies on the GPU. Nothing is allocated after construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import ROWS, EngineError, PassTimes
from cone_detector.engine.manifest import (
    REBUILD_COMMAND,
    Manifest,
    ManifestError,
    check_file,
    common_canvas,
    read_manifest,
)
from cone_detector.engine.tensorrt_plan import Plan

_WARM_UPS = 3


class TensorRtEngine:
    """See `contract.Engine`. One thread at a time may call `infer`; slots may be written from any."""

    def __init__(
        self,
        manifest_paths: Sequence[Path],
        slots: int,
        *,
        graphs: bool = True,
        wait: Literal["spin", "sleep"] = "spin",
    ) -> None:
        """Loads and warms up one plan a manifest.

        slots: canvases to allocate. graphs: start each pass as a CUDA graph, or kernel by kernel.
        wait: for the GPU, at full speed ("spin") or asleep, which frees the core and costs some microseconds.
        Raises ManifestError before any plan is opened, EngineError where one cannot run here.
        """
        loaded = [(path, read_manifest(path)) for path in manifest_paths]
        files = [_plan_file(path, manifest) for path, manifest in loaded]
        self.manifests: Mapping[str, Manifest] = {manifest.name: manifest for _, manifest in loaded}
        width, height = common_canvas(self.manifests.values())
        self._height = height
        device = cuda.device()
        self.device = device.name
        self.off_cpu = True
        self.times = PassTimes()
        self.notes: tuple[str, ...] = tuple(
            f"pass {m.name} was built under driver {m.gpu.driver}, this is {device.driver}: `{REBUILD_COMMAND}` "
            "lets it choose its kernels anew"
            for m in self.manifests.values()
            if m.gpu and m.gpu.driver and device.driver and m.gpu.driver != device.driver
        )
        self.slots: tuple[NDArray[np.uint8], ...] = ()
        self.close_ups: Mapping[str, NDArray[np.uint8]] = {}
        # The slot whose pixels lie on the GPU; None after a fault, or where there is none yet.
        self._uploaded: int | None = None
        self._sleeps = wait == "sleep"
        self._passes: dict[str, Plan] = {}
        self._close = ExitStack()
        try:
            self._stream = cuda.Stream()
            self._close.callback(self._stream.close)
            self._canvas = self._allocate(2 * height * width * 3)
            self.slots = tuple(cuda.page_locked((2, height, width, 3), np.uint8) for _ in range(slots))
            self.close_ups = {
                name: cuda.page_locked((2, *manifest.input_size[::-1], 3), np.uint8)
                for name, manifest in self.manifests.items()
                if manifest.magnified > 1
            }
            self._marks = _Marks(self._close)
            for (_, manifest), file in zip(loaded, files, strict=True):
                self._passes[manifest.name] = self._load(file, manifest)
            for name in self._passes:
                self._warm_up(name, graphs)
        except BaseException:
            self.close()
            raise

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        close_up = self.close_ups.get(name)
        upload = close_up is None and (fresh or slot != self._uploaded)
        on_gpu = slot if close_up is None else self._uploaded
        self._uploaded = None
        step = self._passes[name]
        try:
            if close_up is not None:
                self._start_close_up(step, close_up)
            elif step.strip:
                self._start_strip(step, slot if upload else None, top)
            else:
                self._start(step, slot if upload else None)
            self._wait()
            self._read_times(upload or close_up is not None)
        except EngineError as error:
            raise EngineError(f"pass {name} failed on {self.device}: {error}") from error
        self._uploaded = on_gpu
        if step.strip:
            step.rows[:, :, 1:4:2] += np.array(top, np.float32).reshape(2, 1, 1)
        return step.rows

    def close(self) -> None:
        self.slots = ()
        self.close_ups = {}
        for step in self._passes.values():
            step.close()
        self._passes.clear()
        self._close.close()

    def _allocate(self, size: int) -> cuda.DeviceMemory:
        memory = cuda.DeviceMemory(size)
        self._close.callback(memory.close)
        return memory

    def _load(self, file: Path, manifest: Manifest) -> Plan:
        rows = cuda.page_locked((2, ROWS, 6), np.float32)
        width, height = manifest.input_size
        strip = self._allocate(2 * height * width * 3) if manifest.strip else None
        return Plan(file, manifest, strip or self._canvas, self._allocate(rows.nbytes), rows)

    def _warm_up(self, name: str, graphs: bool) -> None:
        """Lets lazy loading happen now, then captures a graph for each slot and one for pixels already there."""
        for _ in range(_WARM_UPS):
            self.infer(name, 0)
        if not graphs:
            return
        step = self._passes[name]
        try:
            # Where a strip lies changes from frame to frame, so its upload and copies stay outside the graph.
            for upload in (None,) if step.strip else (None, *range(len(self.slots))):
                step.graphs[upload] = self._stream.capture(partial(self._enqueue, step, upload))
            # A graph's first launch brings it to the GPU.
            for slot in range(len(self.slots)):
                self.infer(name, slot)
            self.infer(name, slot, fresh=False)
        except EngineError as error:
            step.drop_graphs()
            self.notes += (f"pass {name} runs without a CUDA graph, which makes it slower: {error}",)
            self.infer(name, 0)

    def _start(self, step: Plan, upload: int | None) -> None:
        graph = step.graphs.get(upload)
        if graph is None:
            self._enqueue(step, upload)
        else:
            graph.launch(self._stream)

    def _start_close_up(self, step: Plan, close_up: NDArray[np.uint8]) -> None:
        """Uploads a close-up to the pass's own input, and starts the pass."""
        self._stream.record(self._marks.begin)
        self._stream.upload(step.input, close_up)
        self._start(step, None)

    def _start_strip(self, step: Plan, upload: int | None, top: tuple[int, int]) -> None:
        """Brings the strips that begin at rows `top` of the left and right image together, and starts the pass."""
        stream = self._stream
        if not 0 <= min(top) <= max(top) <= self._height - step.strip:
            raise EngineError(f"strip of {step.strip} rows from {top} leaves the canvas of {self._height} rows")
        if upload is not None:
            stream.record(self._marks.begin)
            stream.upload(self._canvas, self.slots[upload])
        row_bytes = self._canvas.size // (2 * self._height)
        size = step.input.size // 2
        for side in (0, 1):
            source = self._canvas.pointer + (side * self._height + top[side]) * row_bytes
            stream.copy(step.input.pointer + side * size, source, size)
        self._start(step, None)

    def _enqueue(self, step: Plan, upload: int | None) -> None:
        """Puts a pass on the stream: the upload of a slot where one is named, the network, the download."""
        stream, marks = self._stream, self._marks
        if upload is not None:
            stream.record(marks.begin)
            stream.upload(self._canvas, self.slots[upload])
        stream.record(marks.uploaded)
        step.enqueue(stream)
        stream.record(marks.computed)
        stream.download(step.rows, step.output)
        stream.record(marks.done)

    def _wait(self) -> None:
        if self._sleeps:
            self._marks.done.wait()
        else:
            self._stream.synchronize()

    def _read_times(self, uploaded: bool) -> None:
        times, marks = self.times, self._marks
        times.upload_ms = marks.uploaded.ms_since(marks.begin) if uploaded else 0.0
        times.compute_ms = marks.computed.ms_since(marks.uploaded)
        times.download_ms = marks.done.ms_since(marks.computed)


class _Marks:
    """The events between the stages of a pass."""

    def __init__(self, close: ExitStack) -> None:
        self.begin, self.uploaded, self.computed, self.done = (self._event(close) for _ in range(4))

    @staticmethod
    def _event(close: ExitStack) -> cuda.Event:
        event = cuda.Event()
        close.callback(event.close)
        return event


def obstacle(manifest: Manifest) -> str | None:
    """Why a plan cannot run on this machine, with what to do about it; None where it can."""
    try:
        api = trt_api.load(manifest.runtime.name)
        if api.version != manifest.runtime.version:
            return (
                f"{manifest.file} was built with {api.name} {manifest.runtime.version}, installed is {api.version}: "
                f"run `{REBUILD_COMMAND}`"
            )
        device = cuda.device()
        cuda.check()
    except EngineError as error:
        return str(error)
    built_for = manifest.gpu
    if built_for is None:
        return f"the manifest of {manifest.file} names no GPU: run `{REBUILD_COMMAND}`"
    same_name = api.portable or built_for.name == device.name
    if not same_name or built_for.compute_capability != device.compute_capability:
        return (
            f"{manifest.file} was built for {built_for.name} (compute capability {built_for.compute_capability}), "
            f"this is {device.name} ({device.compute_capability}): run `{REBUILD_COMMAND}`"
        )
    return None


def _plan_file(path: Path, manifest: Manifest) -> Path:
    """The plan of a manifest, once it is certain that it may be opened here."""
    if not manifest.is_plan:
        raise ManifestError(f"{path.name} is for {manifest.runtime.name}: build a plan with `{REBUILD_COMMAND}`")
    if found := obstacle(manifest):
        raise EngineError(found)
    return check_file(path, manifest)
