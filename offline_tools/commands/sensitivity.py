# SPDX-License-Identifier: AGPL-3.0-only
"""Which part of a network loses accuracy in INT8, measured on val with one part quantized at a time.

Where a part loses more than it saves, keep it in float. Executed by ONNX Runtime, so it needs no GPU; slow, a minute a
part.

  cone-tools sensitivity engines/yolo11n-640-int8-qdq.json --data DATASET --aspect 16:9 --every 2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from offline_tools.commands.options import add_source, guard_of, source_of
from offline_tools.sensitivity import Part, sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("manifest", type=Path, help="manifest of a Q/DQ ONNX")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th frame of val (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    add_source(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""

    def show(part: Part) -> None:
        print(f"{part.name:>12}  {part.convolutions:>3} convolutions  mAP50 {part.map50:.4f}", flush=True)

    nothing, everything, parts = sweep(args.manifest, source_of(args), guard_of(args), args.every, show)
    print(f"nothing in INT8: mAP50 {nothing:.4f}, everything: {everything:.4f}")
    if args.json:
        report = {
            "file": args.manifest.with_suffix(".onnx").name,
            "split": "val",
            "every": args.every,
            "map50_float": round(nothing, 4),
            "map50_int8": round(everything, 4),
            "parts": [
                {
                    "part": part.name,
                    "convolutions": part.convolutions,
                    "map50": round(part.map50, 4),
                    "loss_pt": round(100 * (nothing - part.map50), 2),
                }
                for part in parts
            ],
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0
