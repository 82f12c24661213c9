# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools build`: builds the plans that do not fit this machine, keeps the others, and says which and why."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Gpu, ManifestError, Runtime, RuntimeName, read_manifest, write_manifest
from cone_detector.paths import shared
from cone_detector.replay.bag_topics import BagError
from offline_tools.benchmark.limit import measure_limit
from offline_tools.build.frames import FramesError, read_canvases
from offline_tools.build.layers import convolutions, count_types, precision_doubt
from offline_tools.build.plan import BuildError, Plan, build_plan
from offline_tools.build.progress import Durations, shown
from offline_tools.build.sources import Job, Target, find_float, find_jobs
from offline_tools.build.verify import Agreement, compare_plan

_RUNTIMES: tuple[RuntimeName, ...] = ("tensorrt", "tensorrt-rtx")
_HASH_DIGITS = 8  # of the content, in the name of a plan
_TIMED_PAIRS = 500


class VerificationError(RuntimeError):
    """A plan whose rows are not those of its ONNX; it was not installed."""


@dataclass(frozen=True)
class Options:
    """What `run` does. Fields are the command's options; see `add_arguments`."""

    engines: Path
    output: Path
    frames: Path
    level: int
    count: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument(
        "--engines", type=Path, default=shared("engines"), help="folder of the ONNX files (%(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder for the plans (default: the same)")
    parser.add_argument("--model", action="append", default=[], help="only this model; may be repeated")
    parser.add_argument("--precision", action="append", default=[], choices=("fp16", "int8"), help="only this one")
    parser.add_argument("--runtime", choices=("auto", *_RUNTIMES), default="auto", help="default: what is installed")
    parser.add_argument(
        "--compute-capability", default="", help="build for other GPUs of this one, as 8.9 (TensorRT-RTX only)"
    )
    parser.add_argument("--level", type=int, choices=range(6), default=3, help="TensorRT's optimization level")
    parser.add_argument(
        "--frames", type=Path, default=shared("config") / "sample",
        help="images or a stereo recording on which each plan must match its ONNX (default: the sample recording)",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=50, help="how many pairs of them to use (%(default)s)")
    parser.add_argument("--force", action="store_true", help="build also what fits")
    parser.add_argument("--dry-run", action="store_true", help="say what would be built and why, and build nothing")


def run(args: argparse.Namespace) -> int:
    """Carries the command out. Returns the exit code: 0 where every plan fits in the end."""
    console = Console()
    # TensorRT warns of each layer that it treats in an unusual way, by the hundred; errors come with the exception.
    logging.getLogger(trt_api.__name__).setLevel(logging.CRITICAL)
    options = Options(args.engines, args.output or args.engines, args.frames, args.level, args.count)
    try:
        api = _installed(args.runtime)
        target = _target(api, args.compute_capability)
        jobs = find_jobs(options.engines, options.output, target, args.model, args.precision)
    except (EngineError, ManifestError) as error:
        console.print(f"[red]{error}")
        return 1
    if not jobs:
        console.print(f"[red]no ONNX with a manifest in {options.engines} fits: nothing to build")
        return 1
    todo = []
    for job in jobs:
        reasons = job.stale() or (["--force"] if args.force else [])
        if reasons:
            todo.append(job)
        elif not args.dry_run:
            job.note_evaluation()
        console.print(f"{'build' if reasons else 'keep '} {job.title}: {'; '.join(reasons) or 'fits'}")
    if args.dry_run or not todo:
        return 0
    if not args.compute_capability and not options.frames.exists():
        console.print(f"[red]no frames at {options.frames}: give --frames, on which each plan must match its ONNX")
        return 1
    failed = 0
    for job in todo:
        try:
            _build(job, api, options, bool(args.compute_capability), console)
        except (BagError, BuildError, EngineError, FramesError, ManifestError, VerificationError) as error:
            failed += 1
            console.print(f"[red]{job.title}: {error}; what was installed stays")
    return 1 if failed else 0


def _installed(wanted: str) -> trt_api.Api:
    """The TensorRT to build with. Raises EngineError where there is none."""
    if wanted != "auto":
        return trt_api.load(next(name for name in _RUNTIMES if name == wanted))
    errors = []
    for name in _RUNTIMES:
        try:
            return trt_api.load(name)
        except EngineError as error:
            errors.append(str(error))
    raise EngineError("; ".join(errors))


def _target(api: trt_api.Api, compute_capability: str) -> Target:
    runtime = Runtime(api.name, api.version)
    if compute_capability:
        gpu = Gpu(f"any of compute capability {compute_capability}", compute_capability)
    else:
        device = cuda.device()
        gpu = Gpu(device.name, device.compute_capability, device.driver)
    return Target(runtime, gpu, api.portable)


def _build(job: Job, api: trt_api.Api, options: Options, foreign: bool, console: Console) -> None:
    """Builds, verifies and installs one plan; until the last step what was installed stays untouched."""
    options.output.mkdir(parents=True, exist_ok=True)
    gpu = job.target.gpu
    cache = options.output / ".timing" / f"{api.name}-{api.version}-{gpu.name}.cache".replace(" ", "_")
    durations = Durations(cache.with_name("durations.json"))
    key = f"{api.name} {api.version} {gpu.name} {job.title} level {options.level}"
    start = monotonic()
    with shown(console, job.title, durations.get(key)) as progress:
        plan = build_plan(
            api,
            job.onnx,
            job.precision,
            level=options.level,
            timing_cache=None if api.portable else cache,
            compute_capability=gpu.compute_capability if foreign else "",
            progress=progress,
        )
    durations.put(key, monotonic() - start)
    console.print(_layer_table(job, plan, monotonic() - start))
    if doubt := plan.unread or precision_doubt(plan.layers, job.precision):
        console.print(f"[yellow]{job.title}: {doubt}")
    with tempfile.TemporaryDirectory(dir=options.output, prefix=".build-") as folder:
        staged = _write(job, plan, Path(folder))
        if foreign:
            console.print(
                f"{job.title}: not verified, which needs a GPU of compute capability {gpu.compute_capability}"
            )
        else:
            agreement = _verify(job, staged, options)
            console.print(f"{job.title}: {agreement}")
            if shortfall := agreement.shortfall(job.precision):
                raise VerificationError(shortfall)
            console.print(f"{job.title}: {_time(staged):.3f} ms a pair")
        _install(job, staged)
    if job.precision == "int8":
        console.print(f"{job.title}: its mAP is unknown: `cone-tools evaluate {job.manifest_path} --data DATA --note`")


def _write(job: Job, plan: Plan, folder: Path) -> Path:
    """Writes plan and manifest to a folder; returns the manifest's path."""
    digest = hashlib.sha256(plan.content).hexdigest()
    # The content's hash in the name keeps the old plan beside the new one until the manifest changes over.
    file = f"{job.manifest_path.stem}-{digest[:_HASH_DIGITS]}.plan"
    (folder / file).write_bytes(plan.content)
    staged = folder / job.manifest_path.name
    write_manifest(staged, job.manifest(file, digest))
    return staged


def _verify(job: Job, staged: Path, options: Options) -> Agreement:
    reference = find_float(options.engines, job.source)
    if reference is None:
        raise VerificationError(f"no float ONNX of {job.source.model} {job.source.name} in {options.engines}")
    return compare_plan(staged, reference, read_canvases(options.frames, job.source.canvas, options.count))


def _time(staged: Path) -> float:
    """Notes in a plan's manifest how long the GPU takes for a pair, by which the node chooses; returns that."""
    ms = round(measure_limit(staged, _TIMED_PAIRS).graph_ms, 4)
    write_manifest(staged, replace(read_manifest(staged), ms=ms))
    return ms


def _install(job: Job, staged: Path) -> None:
    """Moves a verified plan into place, the manifest last, then removes the plans that it replaces."""
    (plan,) = staged.parent.glob("*.plan")
    target = job.manifest_path.with_name(plan.name)
    shutil.move(plan, target)
    os.replace(staged, job.manifest_path)
    # Digits only: the plans of TensorRT-RTX, whose names begin like TensorRT's, stay.
    for old in job.manifest_path.parent.glob(f"{job.manifest_path.stem}-{'[0-9a-f]' * _HASH_DIGITS}.plan"):
        if old != target:
            old.unlink()


def _layer_table(job: Job, plan: Plan, seconds: float) -> Table:
    table = Table(title=f"{job.title}: {len(plan.content) / 1e6:.1f} MB in {seconds:.0f} s", title_justify="left")
    counts = count_types(plan.layers)
    of_these = count_types(convolutions(plan.layers))
    table.add_column("computes in")
    table.add_column("layers", justify="right")
    table.add_column("of these convolutions", justify="right")
    for name in sorted(counts):
        table.add_row(name, str(counts[name]), str(of_these.get(name, "")))
    return table
