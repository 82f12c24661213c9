# SPDX-License-Identifier: AGPL-3.0-only
"""The `scenes` command: training pictures, a stereo drive, or a stereo benchmark, drawn and written to a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from offline_tools.scenes.background import ENVIRONMENTS
from offline_tools.scenes.dataset import write_training_set
from offline_tools.scenes.ground import SURFACES
from offline_tools.scenes.light import WEATHERS
from offline_tools.scenes.photometric import Sensor
from offline_tools.scenes.scene import SceneConfig
from offline_tools.scenes.sequence import write_sequence
from offline_tools.scenes.stereo import benchmark_frames, drive

SAMPLE_SENSOR = Sensor(exposure=0.1, contrast=0.55, saturation=1.2, noise=0.4, smear=1.0, sharpen=0.2, defocus=0.95)
"""A stereo camera in good light, soft and quiet enough to compress well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to a parser."""
    kinds = parser.add_subparsers(dest="scenes", required=True, metavar="KIND")
    train = kinds.add_parser("train", help="single pictures of any camera, with YOLO labels (images/ and labels/)")
    train.add_argument("--quality", type=int, default=88, help="JPEG quality, 1 to 100 (default: %(default)s)")
    train.add_argument("--jobs", type=int, default=1, help="processes that draw at once (default: %(default)s)")
    stereo = kinds.add_parser("drive", help="a stereo sequence of a car on a track, with calibration and 3D truth")
    stereo.add_argument("--weather", choices=WEATHERS, default="sunny", help="default: %(default)s")
    stereo.add_argument("--surface", choices=SURFACES, default="asphalt", help="default: %(default)s")
    stereo.add_argument("--environment", choices=ENVIRONMENTS, default="paddock", help="default: %(default)s")
    stereo.add_argument("--start", type=float, default=-11.0, help="metres from the timing line (default: %(default)s)")
    stereo.add_argument("--speed", type=float, default=7.0, help="metres a second (default: %(default)s)")
    stereo.add_argument("--rate", type=float, default=15.0, help="pairs a second (default: %(default)s)")
    benchmark = kinds.add_parser("benchmark", help="stereo pairs with cones at 3 to 20 m, to measure depth")
    for kind, count, seed in ((train, 200, 0), (stereo, 36, 107), (benchmark, 50, 0)):
        kind.add_argument("folder", type=Path, help="where to write; made if it is missing")
        kind.add_argument("--count", type=int, default=count, help="pictures or pairs (default: %(default)s)")
        kind.add_argument("--seed", type=int, default=seed, help="the same seed draws the same (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    if args.count < 1:
        raise ValueError(f"--count is {args.count}: give at least 1")
    if args.seed < 0:
        raise ValueError(f"--seed is {args.seed}: give 0 or more")
    if args.scenes == "train":
        totals = write_training_set(args.folder, args.count, args.seed, args.quality, args.jobs)
        labels = ", ".join(f"{name} {number}" for name, number in totals.items())
        print(f"{args.count} pictures in {args.folder}: {labels}")
        return 0
    if args.scenes == "drive":
        config = SceneConfig(
            args.seed, "circuit", args.weather, args.surface, args.environment, odd_share=0.08, camera_height=1.0
        )
        frames = drive(config, SAMPLE_SENSOR, start=args.start, speed=args.speed, rate=args.rate, count=args.count)
    else:
        frames = benchmark_frames(args.count, args.seed)
    print(f"{write_sequence(args.folder, frames)} pairs in {args.folder}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command on its own: `python -m offline_tools.scenes`."""
    parser = argparse.ArgumentParser(prog="scenes", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except (ValueError, OSError) as error:
        parser.exit(2, f"scenes: {error}\n")
