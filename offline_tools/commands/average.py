# SPDX-License-Identifier: AGPL-3.0-only
"""Average the weights of trainings that went on from the same weights, as a network that costs no more than one.

Choose on val whether the average is better than each; often it is, above all on cameras that nobody trained on.

  cone-tools average runs/a/still/weights/best.pt runs/b/still/weights/best.pt --output runs/averaged.pt
"""

from __future__ import annotations

import argparse
from pathlib import Path

from offline_tools.average import average


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("weights", type=Path, nargs="+", help=".pt of trained models; one named twice counts twice")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".pt to write")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    average(args.weights, args.output)
    print(args.output)
    return 0
