# SPDX-License-Identifier: AGPL-3.0-only
"""Training runs in one table, on val.

cone-tools compare runs/*/*/stage.json
cone-tools compare docs/benchmarks/training/*.json --markdown docs/benchmarks/training/README.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from offline_tools.compare import read_run, to_markdown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("records", type=Path, nargs="+", help="stage.json of each run, with its results CSV beside it")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    table = to_markdown([read_run(record) for record in args.records])
    if args.markdown:
        args.markdown.write_text(f"# Training runs\n\nWritten by `cone-tools compare`; do not edit.\n\n{table}")
    print(table, end="")
    return 0
