# SPDX-License-Identifier: Apache-2.0
"""Where TensorRT 8.6, 10.x, 11.x and TensorRT-RTX differ; all other code uses the calls that they share.

Sources: the API references of each, and NVIDIA's 10.x to 11.x migration guide (weak typing, and with it the FP16 and
INT8 builder flags, ended in 11.0; TensorRT-RTX never had it).
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Precision, RuntimeName

_MODULES: dict[RuntimeName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_INSTALL: dict[RuntimeName, str] = {
    "tensorrt": "install NVIDIA's TensorRT with its Python package (`sudo apt install tensorrt python3-libnvinfer`)",
    "tensorrt-rtx": "run `pip install tensorrt-rtx-cu13`",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Api:
    """One installed TensorRT. trt: its module."""

    name: RuntimeName
    trt: Any

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def strongly_typed(self) -> bool:
        """True where the ONNX file's own types decide each layer's precision, and no builder flag does."""
        return not hasattr(self.trt.BuilderFlag, "FP16")

    @property
    def portable(self) -> bool:
        """True where a plan serves every GPU of a compute capability, and is built without one."""
        return self.name == "tensorrt-rtx"

    @property
    def reports_progress(self) -> bool:
        return hasattr(self.trt, "IProgressMonitor")

    def logger(self, keep: list[str] | None = None) -> Any:
        """A logger of TensorRT's that writes to `logging` and keeps the last error in `last_error`.

        keep: also gets every message, down to the most verbose.
        """
        return _logger_class(self.trt)(keep)

    def create_builder(self, logger: Any) -> Any:
        """Raises EngineError where this TensorRT does not start."""
        return self._start(self.trt.Builder, logger)

    def create_runtime(self, logger: Any) -> Any:
        """Raises EngineError where this TensorRT does not start."""
        return self._start(self.trt.Runtime, logger)

    def _start(self, make: Any, logger: Any) -> Any:
        try:
            return make(logger)
        except TypeError as error:  # what its binding makes of a library that finds no GPU, or too old a driver
            raise EngineError(f"{self.name} {self.version} does not start: {logger.last_error}") from error

    def create_network(self, builder: Any) -> Any:
        """An empty network with explicit batch, strongly typed where there is no other kind."""
        flags = self.trt.NetworkDefinitionCreationFlag
        bits = 0
        if hasattr(flags, "EXPLICIT_BATCH"):
            bits |= 1 << int(flags.EXPLICIT_BATCH)
        elif hasattr(flags, "STRONGLY_TYPED"):
            bits |= 1 << int(flags.STRONGLY_TYPED)
        return builder.create_network(bits)

    def allow(self, config: Any, precision: Precision) -> None:
        """Lets the builder use kernels down to `precision`; nothing to say where networks are strongly typed."""
        if self.strongly_typed:
            return
        flag = self.trt.BuilderFlag
        if precision != "fp32":
            config.set_flag(flag.FP16)
        if precision == "int8":
            config.set_flag(flag.INT8)

    def allow_capture(self, config: Any) -> None:
        """Makes the plan one that a CUDA graph can hold: TensorRT-RTX 1.2 and later ask for that at building."""
        flag = getattr(self.trt.BuilderFlag, "REQUIRE_USER_ALLOCATION", None)
        if self.portable and flag is not None:
            config.set_flag(flag)

    def limit_tactics(self, config: Any) -> None:
        """Keeps cuDNN and cuBLAS out of the plan, as newer versions do unasked: the car then needs neither."""
        if int(self.version.split(".")[0]) < 10 and self.name == "tensorrt":
            source = self.trt.TacticSource
            config.set_tactic_sources(1 << int(source.EDGE_MASK_CONVOLUTIONS) | 1 << int(source.JIT_CONVOLUTIONS))

    def target(self, config: Any, compute_capability: str) -> None:
        """Builds for GPUs of another compute capability, as "8.9". Raises EngineError where this runtime cannot."""
        if not self.portable:
            raise EngineError(f"TensorRT {self.version} builds for the GPU of this machine only: build on the car")
        wanted = "SM" + compute_capability.replace(".", "")
        known = self.trt.ComputeCapability
        if not hasattr(known, wanted):
            raise EngineError(f"TensorRT-RTX {self.version} does not know compute capability {compute_capability}")
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(known, wanted), 0)


@cache
def load(name: RuntimeName) -> Api:
    """The installed TensorRT of that kind. Raises EngineError, with how to install it."""
    try:
        return Api(name, importlib.import_module(_MODULES[name]))
    except (ImportError, OSError) as error:
        raise EngineError(f"{_MODULES[name]} is not installed or does not load ({error}): {_INSTALL[name]}") from error


@cache
def _logger_class(trt: Any) -> Any:
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.WARNING,
        trt.ILogger.INFO: logging.DEBUG,
        trt.ILogger.VERBOSE: logging.DEBUG - 1,
    }

    class Logger(trt.ILogger):
        def __init__(self, keep: list[str] | None) -> None:
            super().__init__()
            self.last_error = ""
            self._keep = keep

        def log(self, severity: Any, message: str) -> None:
            level = levels[severity]
            if level >= logging.ERROR:
                self.last_error = message
            if self._keep is not None:
                self._keep.append(message)
            _log.log(level, message)

    return Logger
