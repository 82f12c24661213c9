# SPDX-License-Identifier: AGPL-3.0-only
"""Weights to the ONNX of the engine contract, with its manifest.

One file a pass: 640 sees the whole canvas, 320 the canvas at half scale; the strips of far cones are for the adaptive
policies that use them. The ONNX takes the bytes of two camera images and gives rows of boxes; nothing else is needed.

  cone-tools export runs/yolo11n/640/weights/best.pt --model yolo11n --pass 640
  cone-tools export runs/yolo11n/320/weights/best.pt --model yolo11n --pass 320
"""

from __future__ import annotations

import argparse
from pathlib import Path

from offline_tools.commands.options import size
from offline_tools.export import RESOLUTIONS, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("weights", type=Path, help=".pt of a trained model")
    parser.add_argument("--model", required=True, help="name that the engine files begin with, as yolo11n")
    parser.add_argument(
        "--pass", dest="passes", action="append", choices=RESOLUTIONS, required=True, help="may be repeated"
    )
    parser.add_argument("--engines", type=Path, default=Path("engines"), help="folder to write to (%(default)s)")
    parser.add_argument(
        "--camera", type=size, default=(1280, 720), metavar="WxH", help="image size of the camera (1280x720)"
    )
    parser.add_argument(
        "--float32", action="store_true", help="store weights in full; default: as float16, half the size"
    )


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    for name in args.passes:
        print(export(args.weights, args.engines, args.model, name, args.camera, half_storage=not args.float32))
    return 0
