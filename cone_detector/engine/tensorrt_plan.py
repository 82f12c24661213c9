# SPDX-License-Identifier: Apache-2.0
"""One TensorRT plan, opened and bound to its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME, ROWS, EngineError
from cone_detector.engine.manifest import REBUILD_COMMAND, Manifest


class Plan:
    """One plan with its context.

    input, output: on the GPU; the input of a pass over the whole canvas is the canvas. rows: page-locked (2, ROWS, 6).
    graphs: by the slot that they upload; None for the one that uploads nothing.
    """

    def __init__(
        self,
        file: Path,
        manifest: Manifest,
        input: cuda.DeviceMemory,
        output: cuda.DeviceMemory,
        rows: NDArray[np.float32],
    ) -> None:
        self.input, self.output, self.rows = input, output, rows
        self.strip = manifest.strip
        self.graphs: dict[int | None, cuda.Graph] = {}
        api = trt_api.load(manifest.runtime.name)
        self._logger = api.logger()
        self._runtime = api.create_runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise EngineError(
                f"{api.name} {api.version} cannot open {file} ({self._logger.last_error}): run `{REBUILD_COMMAND}`"
            )
        _check_tensors(api, self._engine, file, manifest)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{file} cannot start ({self._logger.last_error}): "
                "most often the GPU's memory is full, see `nvidia-smi`"
            )
        self._context.set_tensor_address(INPUT_NAME, input.pointer)
        self._context.set_tensor_address(OUTPUT_NAME, output.pointer)

    def enqueue(self, stream: cuda.Stream) -> None:
        if not self._context.execute_async_v3(int(stream.handle)):
            raise EngineError(f"TensorRT could not enqueue: {self._logger.last_error}")

    def drop_graphs(self) -> None:
        for graph in self.graphs.values():
            graph.close()
        self.graphs.clear()

    def close(self) -> None:
        """Frees the plan, in the order that TensorRT asks for."""
        self.drop_graphs()
        self._context = self._engine = self._runtime = None


def _check_tensors(api: trt_api.Api, engine: Any, file: Path, manifest: Manifest) -> None:
    width, height = manifest.input_size
    expected = {
        INPUT_NAME: ((2, height, width, 3), api.trt.uint8),
        OUTPUT_NAME: ((2, ROWS, 6), api.trt.float32),
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {name: (tuple(engine.get_tensor_shape(name)), engine.get_tensor_dtype(name)) for name in names}
    if found != expected:
        raise EngineError(f"{file} has tensors {found}, must have {expected}: run `{REBUILD_COMMAND}`")
