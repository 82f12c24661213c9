# SPDX-License-Identifier: Apache-2.0
"""`cone-bag`: makes a stereo bag from image folders, a side-by-side video or image pairs; shows what a bag holds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from cone_detector.frames import FrameError
from cone_detector.replay.bag_sources import from_files, from_folders, from_video
from cone_detector.replay.bag_topics import BagError
from cone_detector.replay.bag_writer import write_bag
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.calibration_file import CalibrationFileError, read_calibration, rectified_rig
from cone_detector.stereo.calibration import CameraModel


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (BagError, CalibrationFileError, FrameError) as error:
        print(f"cone-bag: {error}", file=sys.stderr)
        return 1


def _make(options: argparse.Namespace) -> int:
    rate = options.rate
    if options.command == "folders":
        pairs = from_folders(options.left, options.right)
    elif options.command == "pairs":
        pairs = from_files(options.images)
    else:
        pairs, video_rate = from_video(options.video)
        rate = rate or video_rate
    quality = None if options.raw else options.jpeg_quality
    if options.size:
        size = tuple(options.size)
        pairs = ((cv2.resize(left, size), cv2.resize(right, size)) for left, right in pairs)
    count = write_bag(
        options.output,
        pairs,
        rate_hz=rate or 30.0,
        cameras=_cameras(options),
        jpeg_quality=quality,
        storage=options.storage,
        compress=options.zstd,
    )
    size_mb = sum(file.stat().st_size for file in options.output.iterdir()) / 1e6
    print(f"{options.output}: {count} pairs at {rate or 30.0:g} Hz, {size_mb:.1f} MB")
    return 0


def _show(options: argparse.Namespace) -> int:
    with StereoBag(options.bag) as bag:
        pairs = bag.pairs()
        first = next(pairs)
        sizes = " and ".join("{}x{}".format(*frame.size) for frame in first.frames())
        count = 1 + sum(1 for _ in pairs)
        print(f"images       {', '.join(bag.topics.images)}")
        print(f"camera_info  {', '.join(bag.topics.infos) if all(bag.topics.infos) else 'none: no cones in space'}")
        print(f"pairs        {count} at {bag.rate_hz():.1f} Hz, {sizes}")
    return 0


def _cameras(options: argparse.Namespace) -> tuple[CameraModel, CameraModel] | None:
    numbers = [options.fx, options.fy, options.cx, options.cy, options.baseline]
    if options.calibration and any(n is not None for n in numbers):
        raise CalibrationFileError("give --calibration or the numbers, not both")
    if options.calibration:
        return read_calibration(options.calibration)
    if all(n is None for n in numbers):
        return None
    if any(n is None for n in numbers) or options.image_size is None:
        raise CalibrationFileError("--fx --fy --cx --cy --baseline --image-size go together")
    return rectified_rig(*options.image_size, *numbers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cone-bag", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    folders = commands.add_parser("folders", help="two folders of images with the same names")
    folders.add_argument("left", type=Path)
    folders.add_argument("right", type=Path)
    video = commands.add_parser("video", help="one side-by-side video")
    video.add_argument("video", type=Path)
    pairs = commands.add_parser("pairs", help="image files: left right left right ...")
    pairs.add_argument("images", type=Path, nargs="+")
    for command in (folders, video, pairs):
        command.set_defaults(run=_make)
        _output_options(command)
    show = commands.add_parser("show", help="what a bag holds, as the replay sees it")
    show.add_argument("bag", type=Path)
    show.set_defaults(run=_show)
    return parser


def _output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new bag")
    parser.add_argument("--rate", type=float, help="pairs a second; default: the video's, or 30")
    parser.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), help="scale the images to this size")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--raw", action="store_true", help="raw images instead of JPEG")
    parser.add_argument("--jpeg-quality", type=int, default=90, choices=range(1, 101), metavar="1..100")
    parser.add_argument("--zstd", action="store_true", help="compress messages or chunks")
    rig = parser.add_argument_group("calibration, for CameraInfo (without it, no cones in space)")
    rig.add_argument(
        "--calibration",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="a JSON with width, height, fx, fy, cx, cy, baseline; or the left and right ROS YAML",
    )
    for name, unit in (("fx", "pixels"), ("fy", "pixels"), ("cx", "pixels"), ("cy", "pixels"), ("baseline", "metres")):
        rig.add_argument(f"--{name}", type=float, help=unit)
    rig.add_argument("--image-size", type=int, nargs=2, metavar=("W", "H"), help="pixels, with --fx and the others")


if __name__ == "__main__":
    sys.exit(main())
