# SPDX-License-Identifier: AGPL-3.0-only
"""Options that several commands share, and their types."""

from __future__ import annotations

import argparse
from pathlib import Path

from offline_tools.datasets.guard import DEFAULT_REGISTRY, SplitGuard
from offline_tools.datasets.prepare import Source


def aspect(text: str) -> tuple[int, int]:
    """The type of an aspect: "16:9" to (16, 9)."""
    try:
        width, height = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no aspect: write it as 16:9") from error
    if min(width, height) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no aspect: both numbers must be positive")
    return width, height


def size(text: str) -> tuple[int, int]:
    """The type of an image size: "1280x720" to (1280, 720)."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write it as 1280x720") from error
    return width, height


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a dataset."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DATASET", help="YOLO folder, data.yaml or Supervisely project"
    )
    parser.add_argument(
        "--aspect",
        type=aspect,
        metavar="W:H",
        help="true proportions of the camera where the images were stretched, as 16:9",
    )
    parser.add_argument("--border", type=int, default=0, metavar="PIXELS", help="border to cut off (FSOCO: 140)")
    add_registry(parser)


def add_registry(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the registry of test images."""
    parser.add_argument(
        "--registry",
        type=Path,
        default=DEFAULT_REGISTRY,
        metavar="FILE",
        help="fingerprints of all test images (%(default)s)",
    )


def source_of(args: argparse.Namespace) -> Source:
    """The dataset that the options name."""
    return Source(args.data, args.aspect, border=args.border)


def guard_of(args: argparse.Namespace) -> SplitGuard:
    """The guard that the options name. Raises DatasetError where its registry is missing."""
    return SplitGuard.load(args.registry)
