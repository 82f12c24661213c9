# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools benchmark`: what each TensorRT plan costs on this GPU, from the network alone to cones in space.

  cone-tools benchmark engines/*-tensorrt.json --output docs/benchmarks/h200.json --table docs/benchmarks/h200.md

Without a manifest nothing is measured: --table and --plot then show what the file of --output holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cone_detector.adaptive.passes import HIGH
from cone_detector.engine import trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError, read_manifest
from cone_detector.paths import shared
from cone_detector.process import limit_opencv_threads
from cone_detector.replay.bag_topics import BagError
from cone_detector.stereo.calibration import CalibrationError
from offline_tools.benchmark.few_sms import measure_few_sms
from offline_tools.benchmark.figures import EngineFigures, Pair, measure, read_pairs
from offline_tools.benchmark.naive import measure_naive
from offline_tools.benchmark.plan_facts import compare_accuracy
from offline_tools.benchmark.plot import plot_report
from offline_tools.benchmark.report import write_few_sms, write_report, write_table
from offline_tools.benchmark.rows import measure_rows
from offline_tools.benchmark.timing import percentile
from offline_tools.build.frames import FramesError
from offline_tools.build.plan import BuildError, build_plan
from offline_tools.build.sources import find_float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("manifests", type=Path, nargs="*", help="manifests of TensorRT plans of whole-canvas passes")
    parser.add_argument(
        "--bag", type=Path, default=shared("config") / "sample", help="recording with CameraInfo (default: the sample)"
    )
    parser.add_argument("--frames", type=int, default=5000, help="pairs for each figure (%(default)s)")
    parser.add_argument("--paced", type=int, default=600, help="pairs at 60 Hz (%(default)s)")
    parser.add_argument(
        "--naive", type=_naive_of, action="append", default=[], metavar="MODEL=FILE",
        help="baseline of that model's plans for 640: ultralytics' own ONNX of two 640x640 images, or a .plan built "
        "of it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--engines", type=Path, help="folder of the float ONNX files, to compare each plan's rows and noted mAP with"
    )
    parser.add_argument("--images", type=Path, help="images or recording for that (default: the recording of --bag)")
    parser.add_argument(
        "--sms", type=int, nargs="+", metavar="COUNT", help="measure on so many multiprocessors, and nothing else"
    )
    parser.add_argument("--output", type=Path, help="JSON file to add to, as docs/benchmarks/h200.json")
    parser.add_argument("--table", type=Path, help="Markdown to write of all that the JSON file then holds")
    parser.add_argument("--plot", type=Path, help="PNG to draw of it")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    if not args.manifests and not (args.output and args.output.exists()):
        console.print("[red]nothing to do: name manifests to measure, or an --output that holds figures to show")
        return 1
    try:
        if args.manifests and args.sms:
            parts = [one for path in args.manifests for one in measure_few_sms(path, args.sms)]
            console.print(*parts, sep="\n")
            if args.output:
                write_few_sms(args.output, parts)
        elif args.manifests:
            figures = _measure(args, console)
            if args.output:
                write_report(args.output, figures)
            console.print(_table(figures))
        if args.output and args.table:
            write_table(args.output, args.table)
        if args.output and args.plot:
            plot_report(args.output, args.plot)
    except (BagError, BuildError, CalibrationError, EngineError, FramesError, ManifestError, OSError) as error:
        console.print(f"[red]{error}")
        return 1
    return 0


def _measure(args: argparse.Namespace, console: Console) -> list[EngineFigures]:
    pairs, calibration = read_pairs(args.bag)
    paths, models = [], set()
    baselines = dict(args.naive)
    for path in args.manifests:
        manifest = read_manifest(path)
        if manifest.strip:
            console.print(f"{path.stem}: sees a strip of the canvas only, left to `cone-tools policies`")
        else:
            paths.append(path)
            if manifest.name == HIGH:
                models.add(manifest.model)
    if foreign := sorted(baselines.keys() - models):
        raise EngineError(f"--naive is for {', '.join(foreign)}: name a manifest of that model's plan for {HIGH} too")
    # For all that is timed here, the baseline, too: as in the node.
    limit_opencv_threads()
    naive = {model: _naive(file, pairs, args.frames) for model, file in baselines.items()}
    figures = [measure(path, pairs, calibration, args.frames, args.paced) for path in paths]
    figures = [replace(one, naive_ms_p50=naive.get(one.model)) if one.canvas == HIGH else one for one in figures]
    if args.engines:
        # Last: then nothing is timed any more.
        figures = [
            _beside_float(one, path, args.engines, args.images or args.bag)
            for one, path in zip(figures, paths, strict=True)
        ]
    return figures


def _beside_float(figures: EngineFigures, path: Path, engines: Path, images: Path) -> EngineFigures:
    manifest = read_manifest(path)
    reference = find_float(engines, manifest)
    if reference is None:
        raise ManifestError(f"no float ONNX of {manifest.model} {manifest.name} in {engines}: it is the reference")
    rows = measure_rows(path, reference, images, 64)
    return replace(figures, rows=rows, accuracy=compare_accuracy(manifest, read_manifest(reference)))


def _naive_of(text: str) -> tuple[str, Path]:
    model, found, file = text.partition("=")
    if not (model and found and file):
        raise argparse.ArgumentTypeError(f"'{text}' is not MODEL=FILE, as in yolo11n=yolo11n.onnx")
    return model, Path(file)


def _naive(file: Path, pairs: Sequence[Pair], frames: int) -> float:
    api = trt_api.load("tensorrt")
    plan = file.read_bytes() if file.suffix == ".plan" else build_plan(api, file, "fp16").content
    return percentile(measure_naive(api, plan, pairs, min(frames, 1000)), 50)


def _table(figures: Sequence[EngineFigures]) -> Table:
    table = Table(title="milliseconds a pair: p50, where not said otherwise")
    columns = {
        "model": "model", "precision": "precision", "canvas": "canvas", "gpu_graph_ms_p50": "GPU",
        "enqueue_ms_p50": "rows, no graph", "host_rows_ms_p50": "rows", "sleeping_ms_p50": "rows, asleep",
        "detector_ms_p50": "2D", "detector_ms_p99": "2D p99", "cones_ms_p50": "3D", "cones_found": "cones",
        "paced_detector_ms_p99": "2D at 60 Hz p99", "cpu_share": "CPU", "limit_graph_ms": "limit",
        "naive_ms_p50": "naive",
    }  # fmt: skip
    for title in columns.values():
        table.add_column(title)
    for one in figures:
        values = asdict(one)
        table.add_row(*(f"{values[c]:.3f}" if isinstance(values[c], float) else str(values[c]) for c in columns))
    return table
