# SPDX-License-Identifier: AGPL-3.0-only
"""Check a dataset, register its test split, complete its labels, prepare it for training.

check     counts images and boxes, and lists what is wrong: broken files, boxes out of range, class order,
          pictures that stand in two splits. Exit code 1 where a model should not be trained on it.
register  notes the fingerprints of the test split. Afterwards no command opens these images for anything but the
          final evaluation, whatever they are called and wherever they lie.
complete  adds labels to the training split where a network of yours is sure of a cone that has none, and draws what it
          added: look at that. Figures on val and test stay comparable, since their labels stay as they are.
prepare   writes the sources of a training configuration as one folder, in true proportions and one class order.
          `cone-tools train` does that itself; use this to train elsewhere.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.progress import Progress

from offline_tools.commands.options import add_registry, add_source, guard_of, source_of
from offline_tools.commands.progress import counted
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.checks import check, draw_heights
from offline_tools.datasets.complete import complete
from offline_tools.datasets.guard import register
from offline_tools.datasets.prepare import prepare
from offline_tools.train import read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    jobs = parser.add_subparsers(dest="job", required=True, metavar="check|register|complete|prepare")
    one = jobs.add_parser("check", help="report what a dataset is made of and what is wrong with it")
    one.add_argument("dataset", type=Path, help="YOLO folder, data.yaml or Supervisely project")
    one.add_argument("--histogram", type=Path, metavar="PNG", help="picture of box heights to write")
    one.add_argument("--json", type=Path, metavar="FILE", help="record to write, as docs/benchmarks/data_check.json")
    one = jobs.add_parser("register", help="keep its test split from every use but the final evaluation")
    one.add_argument("dataset", type=Path, help="YOLO folder, data.yaml or Supervisely project")
    add_registry(one)
    one = jobs.add_parser("complete", help="add labels that annotators left out, as a copy of the dataset")
    one.add_argument("manifest", type=Path, help="manifest of a whole-canvas engine file, as engines/yolo11n-640.json")
    one.add_argument("folder", type=Path, help="folder to write, a dataset in true proportions; emptied first")
    one.add_argument("--confidence", type=float, default=0.4, help="lowest score of what is added (%(default)s)")
    one.add_argument("--smallest", type=float, default=6.0, metavar="PIXELS", help="and lowest height (%(default)s)")
    add_source(one)
    one = jobs.add_parser("prepare", help="write the sources of a training configuration as one folder")
    one.add_argument("config", type=Path, help="training configuration, as config/train/cones.yaml")
    one.add_argument("folder", type=Path, help="folder to write; emptied first")
    add_registry(one)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    if args.job == "check":
        report = check(read_dataset(args.dataset))
        print(report.to_text())
        if args.histogram:
            draw_heights(report, args.histogram)
        if args.json:
            args.json.write_text(json.dumps(report.to_record(), indent=1) + "\n")
        return 0 if report.clean else 1
    if args.job == "register":
        dataset = read_dataset(args.dataset)
        if "test" not in dataset.splits:
            raise DatasetError(f"{args.dataset} has no test split: name one in its data.yaml")
        count = register(dataset.splits["test"], args.registry)
        print(f"{len(dataset.splits['test'])} test images of {dataset.name}; {args.registry} holds {count}")
        return 0
    if args.job == "complete":
        with Progress(transient=True) as progress:
            bar = counted(progress, args.manifest.stem)
            done = complete(
                args.manifest, source_of(args), args.folder, guard_of(args), args.confidence, args.smallest, bar
            )
        counts = ", ".join(f"{count} {name}" for name, count in sorted(done.added.items())) or "none"
        print(f"{done.data}: labels added to {done.frames} training frames: {counts}")
        if done.sheets:
            print(f"look at {', '.join(map(str, done.sheets))} before you train on them")
        return 0
    prepared = prepare(read_config(args.config).sources, args.folder, guard_of(args))
    print(f"{prepared.data}: {prepared.images['train']} images to train on, {prepared.images['val']} to validate")
    return 0
