# SPDX-License-Identifier: AGPL-3.0-only
"""Float ONNX to INT8: OpenVINO's for a CPU, explicit Q/DQ for TensorRT.

Calibrated on frames of train or val, letterboxed as on the car; a test image among them is an error, whatever it is
called. Evaluate the result: INT8 should lose no more than half a point of mAP50.

  cone-tools quantize engines/yolo11n-640.json --data DATASET --aspect 16:9
"""

from __future__ import annotations

import argparse
from pathlib import Path

from offline_tools.commands.options import add_source, guard_of, source_of
from offline_tools.quantize import FEWEST_IMAGES, calibration_frames, quantize_openvino, quantize_qdq

_FOR = {"openvino": quantize_openvino, "tensorrt": quantize_qdq}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("manifests", type=Path, nargs="+", help="manifests of float ONNX files")
    parser.add_argument(
        "--for", dest="runtimes", action="append", choices=sorted(_FOR), help="only for this runtime (default: both)"
    )
    parser.add_argument("--split", choices=("train", "val"), default="train", help="(%(default)s)")
    parser.add_argument(
        "--images", type=int, default=FEWEST_IMAGES, help="frames to calibrate on, spread over the split (%(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder to write to (default: beside each ONNX)")
    add_source(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    frames = calibration_frames(source_of(args), args.split, guard_of(args), args.images)
    for manifest in args.manifests:
        for runtime in args.runtimes or sorted(_FOR):
            print(_FOR[runtime](manifest, frames, args.output or manifest.parent))
    return 0
