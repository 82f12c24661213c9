# SPDX-License-Identifier: AGPL-3.0-only
"""From an ONNX file to a TensorRT plan, in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from cone_detector.engine import trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Precision
from offline_tools.build.half import to_half
from offline_tools.build.layers import Layer, from_build_log, from_inspector
from offline_tools.onnx_files import expand


class BuildError(RuntimeError):
    """An ONNX file that TensorRT refuses, or a build that fails; the message has TensorRT's own words."""


@dataclass(frozen=True)
class Plan:
    """A plan's bytes and what it is made of; unread: why nothing is known of that."""

    content: bytes
    layers: list[Layer]
    unread: str = ""


def build_plan(
    api: trt_api.Api,
    onnx_file: Path,
    precision: Precision,
    *,
    level: int = 3,
    timing_cache: Path | None = None,
    compute_capability: str = "",
    progress: Callable[[float], None] | None = None,
) -> Plan:
    """Builds a plan. This takes seconds with TensorRT-RTX and minutes with TensorRT.

    level: TensorRT's optimization level, 0 to 5. timing_cache: file in which measured kernel times outlast the build.
    compute_capability: of the GPU to build for, as "8.9"; that of this machine's where empty.
    progress: told how much is done, 0 to 1, where this TensorRT reports it.
    Raises BuildError, and EngineError where this TensorRT does not start or cannot build for that GPU.
    """
    messages: list[str] = []
    logger = api.logger(messages)
    builder = api.create_builder(logger)
    network = api.create_network(builder)
    parser = api.trt.OnnxParser(network, logger)
    try:
        model = onnx.load(onnx_file)
        model = to_half(model) if api.strongly_typed else expand(model)
    except (DecodeError, onnx.checker.ValidationError, RuntimeError) as error:
        raise BuildError(f"{onnx_file} is no ONNX that can be used: {error}") from error
    if not parser.parse(model.SerializeToString()):
        errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise BuildError(f"{api.name} {api.version} cannot parse {onnx_file}: {errors}")
    config = builder.create_builder_config()
    config.builder_optimization_level = level
    config.profiling_verbosity = api.trt.ProfilingVerbosity.DETAILED
    api.allow(config, precision)
    api.limit_tactics(config)
    api.allow_capture(config)
    if compute_capability:
        api.target(config, compute_capability)
    if progress and api.reports_progress:
        config.progress_monitor = _monitor(api.trt, progress)
    with _kept_timings(config, timing_cache):
        content = builder.build_serialized_network(network, config)
    if content is None:
        raise BuildError(f"{api.name} {api.version} cannot build {onnx_file}: {logger.last_error}")
    plan = bytes(content)
    try:
        return Plan(plan, from_build_log(messages) if api.portable else read_layers(api, plan))
    except (KeyError, TypeError, ValueError) as error:  # a table is not worth a plan
        return Plan(plan, [], f"{api.name} {api.version} describes layers in another form ({error!r})")


def read_layers(api: trt_api.Api, plan: bytes) -> list[Layer]:
    """The layers of a plan, by TensorRT's engine inspector, which needs a GPU.

    Raises EngineError where the plan cannot be opened; KeyError, TypeError or ValueError where it is described in
    another form than is known.
    """
    logger = api.logger()
    runtime = api.create_runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"the plan cannot be opened: {logger.last_error}")
    inspector = engine.create_engine_inspector()
    return from_inspector(str(inspector.get_engine_information(api.trt.LayerInformationFormat.JSON)))


@contextmanager
def _kept_timings(config: Any, file: Path | None) -> Iterator[None]:
    """Gives the build the kernel times of earlier ones, and keeps those that it adds."""
    if file is None:
        yield
        return
    known = file.read_bytes() if file.exists() else b""
    cache = config.create_timing_cache(known)
    # TensorRT refuses times that it cannot read, or that are of another version or GPU; it then measures anew.
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    yield
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.write_bytes(bytes(config.get_timing_cache().serialize()))
    os.replace(temporary, file)


def _monitor(trt: Any, progress: Callable[[float], None]) -> Any:
    """Turns TensorRT's nested phases, each of so many steps, into one share of the whole."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            # Open phases from the outermost in: name, steps done, steps in all.
            self._phases: list[tuple[str, int, int]] = []
            self._share = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases.append((phase_name, 0, max(1, num_steps)))

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._phases = [(name, step + 1 if name == phase_name else done, n) for name, done, n in self._phases]
            share = 0.0
            for _, done, steps in reversed(self._phases):
                share = min(1.0, (done + share) / steps)
            # Phases are not announced in advance: a new one would set the share back.
            self._share = max(self._share, share)
            progress(self._share)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._phases = [phase for phase in self._phases if phase[0] != phase_name]

    return Monitor()
