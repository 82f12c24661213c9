# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools projection`: what the car's RTX 4060 would take, from times measured on another GPU. Simulated.

cone-tools projection docs/benchmarks/h200.json --output docs/benchmarks/rtx4060.json --table docs/benchmarks/rtx4060.md
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from cone_detector.paths import shared
from offline_tools.projection.model import PARAMETERS
from offline_tools.projection.project import project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("measured", type=Path, help="JSON of `cone-tools benchmark`")
    parser.add_argument(
        "--engines",
        type=Path,
        action="append",
        default=[],
        help="folder of the ONNX files, strips too where their cost is asked for; may be repeated",
    )
    parser.add_argument("--output", type=Path, help="JSON to write, as docs/benchmarks/rtx4060.json")
    parser.add_argument("--table", type=Path, help="Markdown to write")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code. Raises ValueError or OSError, which the command line prints."""
    try:
        measured = json.loads(args.measured.read_text())
        found = project(measured, args.engines or [shared("engines")])
    except KeyError as error:
        raise ValueError(f"{args.measured} lacks {error}: write it anew with `cone-tools benchmark`") from error
    table = table_of(found)
    Console().print(table, markup=False, soft_wrap=True)
    if args.output:
        _write(args.output, json.dumps(found, indent=1) + "\n")
    if args.table:
        _write(args.table, table)
    return 0


def table_of(found: dict[str, Any]) -> str:
    """The projection as Markdown."""
    calibration = found["calibration"]
    shares = ", ".join(f"{share:.0%} in {name.upper()}" for name, share in calibration["share_of_peak"].items())
    lines = [
        f"# {found['gpu']}, simulated",
        "",
        f"Not measured: projected by `cone-tools projection` from times on {found['measured_on']}. `network` is "
        f"taken to be off by {found['network_error_pct']:.0f} %, the larger of what the worst known point of an RTX "
        "4060 (below) and what nine in ten measured times are missed by, `upload` by "
        f"{found['upload_error_pct']:.0f} %, as at its known point: weighted by what they take of `GPU`, "
        f"{found['error_pct']:.0f} %. A kernel "
        f"starts in {calibration['kernel_start_us']:.2f} us and reaches {shares} of the peaks; uploads reach "
        f"{calibration['upload_share_of_link']:.0%} of the link. {_fit(calibration)}",
        "",
        "Milliseconds a pair of images, median. The last three columns hold the measuring machine's host: they say "
        "nothing of the car's CPU, and the errors above are not theirs.",
        "",
        "| plan (simulated) | network | upload | GPU | that host | 2D with that host | 3D with that host |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {one['model']} {one['canvas']} {one['precision']} | {one['compute_ms']:.2f} | {one['upload_ms']:.2f} "
            f"| {one['gpu_ms']:.2f} | {one['host_ms']:.2f} | {one['frame_ms']:.2f} | {one['cones_ms']:.2f} |"
            for one in found["engines"]
        ),
        "",
        "One pass of the adaptive policies, from the call to its rows: network, upload, download, start and wait. A "
        "canvas is uploaded for a frame's first pass only; a band or zoom brings its own pixels.",
        "",
        "| pass (simulated) | network | upload | as first pass | as second pass |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one['model']} {one['canvas']} {one['precision']} | {one['compute_ms']:.2f} | {one['upload_ms']:.2f} "
            f"| {one['first_ms']:.2f} | {one['second_ms']:.2f} |"
            for one in found["passes"]
        ),
        "",
        "| known of an RTX 4060 | known | projected | error |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {one['name']} | {one['known_ms']:.2f} | {one['projected_ms']:.2f} | {one['error_pct']:+.0f} % |"
            for one in found["known_points"]
        ),
        *_as_small(found),
    ]
    return "\n".join(lines) + "\n"


def _as_small(found: dict[str, Any]) -> list[str]:
    if not found["as_small"]:
        return []
    return [
        "",
        f"Measured on as many multiprocessors of {found['measured_on']} as an RTX 4060 has; the projection "
        "knows nothing of it. Each calculates more than one of an RTX 4060, so that its time would rather be longer.",
        "",
        f"| network alone | multiprocessors | {found['measured_on']} | projected RTX 4060 | difference |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one['model']} {one['canvas']} {one['precision']} | {one['sms']} | {one['graph_ms']:.2f} "
            f"| {one['projected_ms']:.2f} | {one['difference_pct']:+.0f} % |"
            for one in found["as_small"]
        ),
    ]


def _fit(calibration: dict[str, Any]) -> str:
    """What the points of the fit tell of it."""
    if misfits := calibration["misfits_pct"]:
        return f"Of {len(misfits)} measured times the worst is missed by {max(map(abs, misfits.values())):.0f} %."
    return (
        f"Measured times: {calibration['points']}, for {PARAMETERS} parameters: the fit misses none of them, which "
        "proves nothing, and shares that they leave open are assumed."
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, file)
