# SPDX-License-Identifier: AGPL-3.0-only
"""Train a detector from a configuration file.

The file names the data and the stages; see config/train/cones.yaml. Weights, curves and a record of what was trained on
what go to RUNS/NAME/STAGE. A killed run goes on with --resume.

  cone-tools train config/train/cones.yaml
  cone-tools train config/train/cones.yaml --model yolo26n.yaml --device 0,1
  cone-tools train config/train/sample.yaml --set epochs=1 --set batch=4 --device cpu
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from offline_tools.commands.options import add_registry, guard_of
from offline_tools.train import TrainError, read_config, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("config", type=Path, help="training configuration")
    parser.add_argument("--model", help="train this instead: a YAML of ultralytics (yolo12n.yaml) or a .pt")
    parser.add_argument("--name", help="name of the run (default: the model's, or the configuration's)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (%(default)s)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="use a folder of `cone-tools data prepare`")
    parser.add_argument("--stage", action="append", default=[], help="only this stage; may be repeated")
    parser.add_argument("--device", help="GPU, as 0, several, as 0,1, or cpu (default: what there is)")
    parser.add_argument("--resume", action="store_true", help="go on where a killed run stopped")
    parser.add_argument("--wandb", choices=("disabled", "offline", "online"), help="Weights & Biases logging")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an argument of ultralytics' trainer"
    )
    add_registry(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    config = read_config(args.config)
    if args.model:
        config = replace(config, model=args.model, name=Path(args.model).stem)
    if args.name:
        config = replace(config, name=args.name)
    if args.wandb:
        config = replace(config, wandb=args.wandb)
    if args.stage:
        stages = [stage for stage in config.stages if stage.name in args.stage]
        if len(stages) != len(set(args.stage)):
            raise TrainError(f"stages {args.stage}: {args.config} has {[stage.name for stage in config.stages]}")
        config = replace(config, stages=stages)
    overrides = dict(_setting(text) for text in args.set)
    if args.device:
        overrides["device"] = args.device
    print(train(config, args.runs, args.data, overrides, args.resume, guard_of(args)))
    return 0


def _setting(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found:
        raise TrainError(f"--set {text}: write KEY=VALUE, as epochs=1")
    return key, yaml.safe_load(value)
