# SPDX-License-Identifier: AGPL-3.0-only
"""Accuracy of engine files, through the car's own letterbox, engine and NMS.

Choose among models on val. The test split is for the one final evaluation of what is shipped: it is recorded in a
ledger, and a second one of the same file on the same images is refused.

  cone-tools evaluate engines/*.json --data DATASET --aspect 16:9 --split val --note
  cone-tools evaluate engines/yolo11n-640.json --data DATASET --aspect 16:9 --split test
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cone_detector.engine.manifest import read_manifest
from offline_tools.commands.options import add_source, guard_of, source_of
from offline_tools.commands.progress import counted
from offline_tools.curves import draw_curves
from offline_tools.evaluate import Result, evaluate, write_evaluation, write_records
from offline_tools.ledger import DEFAULT_LEDGER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("manifests", type=Path, nargs="+", help="manifests of engine files of whole-canvas passes")
    parser.add_argument("--split", choices=("val", "test", "train"), default="val", help="(%(default)s)")
    parser.add_argument("--note", action="store_true", help="write the figures into each manifest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to this file, as docs/benchmarks/accuracy.json")
    parser.add_argument("--shipped", action="store_true", help="mark the entries of --json as shipped")
    parser.add_argument("--curves", type=Path, metavar="FOLDER", help="draw PR and F1 curves there")
    parser.add_argument("--force", action="store_true", help="look at test a second time, marked for good")
    parser.add_argument("--ledger", type=Path, default=DEFAULT_LEDGER, help="(%(default)s)")
    add_source(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    source, guard = source_of(args), guard_of(args)
    results = []
    with Progress(console=console, transient=True) as progress:
        for path in args.manifests:
            # engines/*.json names them too; a policy is what makes sense of them.
            if len(args.manifests) > 1 and read_manifest(path).strip:
                console.print(f"{path.stem}: sees a strip of the canvas only, left to `cone-tools policies`")
                continue
            bar = counted(progress, path.stem)
            result = evaluate(path, source, args.split, guard, args.force, args.ledger, bar)
            results.append(result)
            if args.note:
                write_evaluation(path, result)
            if args.json:
                write_records(args.json, [(result, args.shipped)])
            if args.curves:
                draw_curves(result, args.curves)
    if results:
        console.print(_table(results))
    return 0


def _table(results: list[Result]) -> Table:
    """Figures down, files across: file names are long, and there are few of them."""
    table = Table(title=f"{results[0].split}, {results[0].images} images" + (", forced" * results[0].forced))
    table.add_column("")
    for result in results:
        table.add_column(Path(result.manifest.file).stem, justify="right")
    rows = {
        "mAP50": [result.figures.map50 for result in results],
        "mAP50-95": [result.figures.map50_95 for result in results],
        "mAP50 without boxes on no label (IoU under 0.1)": [result.on_labels.map50 for result in results],
        "precision at best F1": [result.figures.precision for result in results],
        "recall at best F1": [result.figures.recall for result in results],
        "best F1 at confidence": [result.figures.confidence for result in results],
    }
    for name in results[0].figures.per_class:
        rows[f"mAP50 {name}"] = [result.figures.per_class[name].map50 for result in results]
    for name in results[0].by_height:
        rows[f"mAP50 {name}"] = [result.by_height[name].map50 for result in results]
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in values))
    return table
