# SPDX-License-Identifier: AGPL-3.0-only
"""Search the RegNet design space for a backbone under YOLO11's neck and head.

Draws networks at random, keeps those within the budget, and ranks them. With --latency the first of them are measured
on this CPU; with --proxy they are trained for a few epochs, each into RUNS/NAME-N, and ranked by mAP50 on val. The
`technique` of the best is printed for a training configuration.

  cone-tools regnet-search --gflops 6.4 --latency
  cone-tools regnet-search --gflops 6.4 --proxy config/train/regnet.yaml --data datasets/prepared --epochs 5 --top 6
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from offline_tools.commands.options import add_registry, guard_of
from offline_tools.regnet_search import Budget, Candidate, draw, measure, rank
from offline_tools.technique import describe
from offline_tools.train import TrainError, read_config, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("--gflops", type=float, default=6.4, help="most GFLOPs at 640x640 (%(default)s, as YOLO11n)")
    parser.add_argument("--params", type=float, default=float("inf"), help="most parameters (any number)")
    parser.add_argument("--model", default="yolo11n.yaml", help="whose neck and head (%(default)s)")
    parser.add_argument("--draws", type=int, default=100, help="networks drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    parser.add_argument("--by", choices=("gflops", "params"), default="params", help="rank by (%(default)s)")
    parser.add_argument("--top", type=int, default=5, help="how many to measure or train (%(default)s)")
    parser.add_argument("--latency", action="store_true", help="measure the top ones in OpenVINO, and rank by that")
    parser.add_argument("--proxy", type=Path, metavar="CONFIG", help="train the top ones by this configuration")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the proxy (%(default)s)")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="folder of `cone-tools data prepare`, for the proxy"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the proxy's runs (%(default)s)")
    parser.add_argument("--device", help="of the proxy: 0 or cpu (default: what there is)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    add_registry(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    budget = Budget(args.gflops, args.params)
    with Progress() as progress:
        task = progress.add_task("drawing", total=args.draws)
        found = draw(budget, args.model, args.draws, args.seed, lambda: progress.advance(task))
    found = rank(found, args.by)
    best, rest = found[: args.top], found[args.top :]
    if args.latency:
        best = rank([measure(candidate, args.model) for candidate in track(best, "measuring")], "latency")
    if args.proxy:
        best = rank([_train(candidate, number, args) for number, candidate in enumerate(best, 1)], "map50")
    Console().print(_table([*best, *rest]))
    mapping = {"technique": describe(best[0].technique)}
    print(yaml.safe_dump(mapping, default_flow_style=None, sort_keys=False, width=1000), end="")
    if args.json:
        args.json.write_text(json.dumps([_record(candidate) for candidate in [*best, *rest]], indent=1) + "\n")
    return 0


def _train(candidate: Candidate, number: int, args: argparse.Namespace) -> Candidate:
    config = read_config(args.proxy)
    if not config.stages:
        raise TrainError(f"{args.proxy} has no stage to train by")
    config = replace(
        config,
        name=f"{config.name}-{number}",
        model=args.model,
        technique=candidate.technique,
        stages=config.stages[:1],
    )
    overrides = {"epochs": args.epochs, "seed": args.seed, **({"device": args.device} if args.device else {})}
    weights = train(config, args.runs, args.data, overrides, guard=guard_of(args))
    stage = json.loads((weights.parents[1] / "stage.json").read_text())
    return replace(candidate, map50=stage["map50"])


def _table(candidates: list[Candidate]) -> Table:
    table = Table("depth", "w_0", "w_a", "group", "widths", "blocks", "GFLOPs", "M params", "ms", "mAP50", box=None)
    for one in candidates:
        settings = one.technique
        table.add_row(
            *(str(value) for value in (settings.depth, settings.w_0, settings.w_a, settings.group)),
            " ".join(map(str, one.widths)),
            " ".join(map(str, one.depths)),
            f"{one.gflops:.2f}",
            f"{one.params / 1e6:.2f}",
            "" if one.latency_ms is None else f"{one.latency_ms:.1f}",
            "" if one.map50 is None else f"{one.map50:.3f}",
        )
    return table


def _record(candidate: Candidate) -> dict[str, object]:
    return {**asdict(candidate), "technique": describe(candidate.technique)}
