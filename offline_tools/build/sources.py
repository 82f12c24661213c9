# SPDX-License-Identifier: AGPL-3.0-only
"""Which plans there are to build, which are stale, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from cone_detector.engine.manifest import (
    Evaluation,
    Gpu,
    Manifest,
    ManifestError,
    Precision,
    Runtime,
    check_file,
    read_manifest,
    write_manifest,
)


@dataclass(frozen=True)
class Target:
    """The TensorRT and the GPU that plans are for."""

    runtime: Runtime
    gpu: Gpu
    portable: bool = False


@dataclass(frozen=True)
class Job:
    """One plan. source: manifest of its ONNX; onnx: the file; manifest_path: where the plan's manifest lies."""

    source: Manifest
    onnx: Path
    precision: Precision
    manifest_path: Path
    target: Target

    @property
    def title(self) -> str:
        return f"{self.source.model} {self.source.name} {self.precision}"

    def manifest(self, plan_file: str, plan_sha256: str) -> Manifest:
        """The plan's manifest."""
        return replace(
            self.source,
            file=plan_file,
            file_sha256=plan_sha256,
            onnx_sha256=self.source.file_sha256,
            precision=self.precision,
            qdq=False,
            runtime=self.target.runtime,
            gpu=self.target.gpu,
            evaluation=self._evaluation(),
            ms=0.0,
        )

    def stale(self) -> list[str]:
        """Why the plan must be built; nothing where the one that lies there fits."""
        if not self.manifest_path.exists():
            return ["there is none yet"]
        try:
            found = read_manifest(self.manifest_path)
            check_file(self.manifest_path, found)
        except ManifestError as error:
            return [str(error)]
        wanted = self.manifest(found.file, found.file_sha256)
        reasons = [
            f"{what} is {new}, was {old}"
            for what, old, new in (
                ("the ONNX", found.onnx_sha256[:12], wanted.onnx_sha256[:12]),
                ("the canvas", found.canvas, wanted.canvas),
                (wanted.runtime.name, found.runtime.version, wanted.runtime.version),
                ("the GPU", *self._gpus(found.gpu)),
                ("the driver", *self._drivers(found.gpu)),
            )
            if old != new
        ]
        if not reasons and found != replace(wanted, gpu=found.gpu, evaluation=found.evaluation, ms=found.ms):
            reasons.append("the manifest of the ONNX changed")
        return reasons

    def note_evaluation(self) -> None:
        """Gives a float plan that fits the evaluation of its ONNX, if it has none: that may be the younger one."""
        found = read_manifest(self.manifest_path)
        if found.evaluation is None and (evaluation := self._evaluation()):
            write_manifest(self.manifest_path, replace(found, evaluation=evaluation))

    def _evaluation(self) -> Evaluation | None:
        """That of the ONNX, whose rows a float plan reproduces; INT8's differ, so that it must pass one of its own."""
        return None if self.precision == "int8" else self.source.evaluation

    def _gpus(self, found: Gpu | None) -> tuple[str, str]:
        return _describe(found, self.target.portable), _describe(self.target.gpu, self.target.portable)

    def _drivers(self, found: Gpu | None) -> tuple[str, str]:
        if found is None or self.target.portable:
            return "", ""
        return found.driver, self.target.gpu.driver


def find_jobs(
    directory: Path, output: Path, target: Target, models: Collection[str] = (), precisions: Collection[str] = ()
) -> list[Job]:
    """One job for each ONNX in `directory`: FP16 of a float one, INT8 of one with Q/DQ.

    models, precisions: only these, where given. Raises ManifestError where a manifest or an ONNX is damaged.
    """
    jobs = []
    for path in sorted(directory.glob("*.json")):
        source = read_manifest(path)
        if source.runtime.name != "onnx":
            continue
        precision: Precision = "int8" if source.qdq else "fp16"
        if (models and source.model not in models) or (precisions and precision not in precisions):
            continue
        name = f"{source.model}-{source.name}-{precision}-{target.runtime.name}.json"
        jobs.append(Job(source, check_file(path, source), precision, output / name, target))
    return jobs


def find_float(directory: Path, like: Manifest) -> Path | None:
    """The manifest of the float ONNX of the same model, pass and canvas, whose rows are the reference; None if none."""
    for path in sorted(directory.glob("*.json")):
        found = read_manifest(path)
        same = (found.model, found.name, found.canvas) == (like.model, like.name, like.canvas)
        if same and found.runtime.name == "onnx" and not found.qdq:
            return path
    return None


def _describe(gpu: Gpu | None, portable: bool) -> str:
    if gpu is None:
        return "unknown"
    return gpu.compute_capability if portable else f"{gpu.name} ({gpu.compute_capability})"
