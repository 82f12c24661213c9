# SPDX-License-Identifier: AGPL-3.0-only
"""The baseline: how a detector is run on a GPU when nobody looked at the latency.

A float32 square of 640x640, as ultralytics exports it, filled on the host frame by frame, copied from ordinary memory,
each kernel enqueued, all 8,400 boxes copied back and sorted out on the host.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.boxes import suppress
from cone_detector.classes import CLASS_NAMES
from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.frames import Frame
from offline_tools.benchmark.arrivals import Arrivals

_SIZE = 640
_PADDING = 114


class NaiveDetector:
    """One plan of an ONNX from ultralytics: float32 (2, 3, 640, 640) in, (2, 4 + classes, boxes) out."""

    def __init__(self, api: trt_api.Api, plan: bytes) -> None:
        """Raises EngineError where the plan cannot be opened, or answers in another form."""
        self._logger = api.logger()
        self._runtime = api.create_runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(f"the plan cannot be opened: {self._logger.last_error}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._shapes = [tuple(self._engine.get_tensor_shape(name)) for name in names]
        channels = 4 + len(CLASS_NAMES)
        if len(self._shapes[1]) != 3 or self._shapes[1][1] != channels:
            raise EngineError(
                f"the baseline's output is {self._shapes[1]}, must be (2, {channels}, boxes): 4 sides of a box and "
                f"{len(CLASS_NAMES)} classes, as ultralytics exports without suppression"
            )
        self._context = self._engine.create_execution_context()
        self._stream = cuda.Stream()
        self._memory = [cuda.DeviceMemory(4 * int(np.prod(shape))) for shape in self._shapes]
        for name, memory in zip(names, self._memory, strict=True):
            self._context.set_tensor_address(name, memory.pointer)

    def detect(
        self, left: NDArray[np.uint8], right: NDArray[np.uint8], confidence: float, iou: float
    ) -> tuple[NDArray[np.float32], ...]:
        """Rows (N, 6) of each image, in pixels of the square. left, right: BGR images."""
        squares = np.stack([_square(image) for image in (left, right)])
        batch = np.ascontiguousarray(squares[..., ::-1].transpose(0, 3, 1, 2)).astype(np.float32) / 255
        output = np.empty(self._shapes[1], np.float32)
        self._stream.upload(self._memory[0], batch)
        if not self._context.execute_async_v3(int(self._stream.handle)):
            raise EngineError(f"TensorRT could not enqueue: {self._logger.last_error}")
        self._stream.download(output, self._memory[1])
        self._stream.synchronize()
        return suppress((_rows(output[0], confidence), _rows(output[1], confidence)), iou)

    def close(self) -> None:
        for memory in self._memory:
            memory.close()
        self._stream.close()


def measure_naive(
    api: trt_api.Api, plan: bytes, pairs: Sequence[tuple[Frame, Frame]], frames: int
) -> NDArray[np.float64]:
    """Milliseconds from two camera images to rows, for each of `frames` frames after a burn-in."""
    detector = NaiveDetector(api, plan)
    spent = np.zeros(frames)
    try:
        arrivals = Arrivals(pairs)
        for index in range(-50, frames):
            left, right = arrivals.bring(index)
            start = time.perf_counter_ns()
            detector.detect(left.pixels, right.pixels, 0.35, 0.5)
            if index >= 0:
                spent[index] = (time.perf_counter_ns() - start) / 1e6
    finally:
        detector.close()
    return spent


def _square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = _SIZE / max(height, width)
    scaled = cv2.resize(image, (round(width * scale), round(height * scale)))
    top, left = (_SIZE - scaled.shape[0]) // 2, (_SIZE - scaled.shape[1]) // 2
    bottom, right = _SIZE - scaled.shape[0] - top, _SIZE - scaled.shape[1] - left
    padded = cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(_PADDING,) * 3)
    return np.asarray(padded, np.uint8)


def _rows(output: NDArray[np.float32], confidence: float) -> NDArray[np.float32]:
    """Rows (N, 6), sorted by score, of one image's (4 + classes, boxes) of centres, sizes and class scores."""
    scores = output[4:].max(axis=0)
    kept = output[:, scores >= confidence]
    centre, size = kept[:2], kept[2:4]
    rows = np.vstack((centre - size / 2, centre + size / 2, kept[4:].max(axis=0), kept[4:].argmax(axis=0))).T
    return rows[np.argsort(-rows[:, 4])].astype(np.float32)
