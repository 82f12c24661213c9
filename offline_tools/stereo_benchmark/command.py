# SPDX-License-Identifier: AGPL-3.0-only
"""The stereo benchmark: draws scenes with exact truth, runs the car's detector on them, writes the figures as JSON.

    python -m offline_tools.stereo_benchmark --output docs/benchmarks/stereo.json

Boxes come from the engine that the car would run on this machine; `--boxes truth` puts the true boxes, shaken as a
detector errs, in their place: for work on stereo alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.detections import Detections
from cone_detector.detector import StereoDetector
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError
from cone_detector.engine.select import choose_for, load
from cone_detector.frames import Frame
from cone_detector.paths import shared
from cone_detector.replay.machine import machine, versions
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import StereoCalibration
from cone_detector.stereo.locator import StereoLocator
from offline_tools.scenes.stereo import StereoCone, StereoFrame, StereoRig, benchmark_frames
from offline_tools.stereo_benchmark.score import Located, compare, coverage, depth_figures
from offline_tools.stereo_benchmark.timing import cpu_ms

Boxes = Callable[[StereoFrame], tuple[Detections, Detections]]

# A true cone counts as one to be located when both eyes see this share of it, within this range.
_SEEN_SHARE = 0.5
_FARTHEST_M = 20.0
# Of shaken boxes: what an edge errs in pixels, and beside it as a share of the box's height.
_SHAKE_PX, _SHAKE_SHARE = 1.0, 0.03
_TIMED_CONES = (10, 30, 100)


@dataclass
class Tally:
    """What accumulates over the frames: refined cones, the same boxes without refinement, and cones to be located."""

    refined: list[Located]
    centres: list[Located]
    to_locate: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to a parser."""
    parser.add_argument("--output", type=Path, help="JSON file to write (default: print only)")
    parser.add_argument("--plot", type=Path, help="PNG of depth errors over range to write")
    parser.add_argument("--count", type=int, default=120, help="stereo pairs to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2026, help="of the scenes (default: %(default)s)")
    parser.add_argument("--boxes", choices=("engine", "truth"), default="engine", help="default: %(default)s")
    parser.add_argument("--engines", default="", help="folder of engines (default: the installed ones)")
    parser.add_argument("--runtime", default="auto", help="as the parameter engine.runtime (default: %(default)s)")
    parser.add_argument("--policy", default="fixed_640", help="as the parameter policy.name (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=500, help="calls that are timed (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Runs the benchmark; returns the exit status. Raises EngineError, ManifestError or ValueError."""
    if args.count < 1 or args.rounds < 1:
        raise ValueError(f"--count is {args.count}, --rounds is {args.rounds}: give at least 1 of each")
    rig = StereoRig()
    calibration = StereoCalibration.from_projections(*rig.projections(), (rig.lens.width, rig.lens.height))
    settings = Settings({"policy.name": args.policy, "engine.directory": args.engines, "engine.runtime": args.runtime})
    frames = benchmark_frames(args.count, args.seed, rig)
    first = next(frames)
    pictures = (Frame(first.left.image), Frame(first.right.image))
    # Before an engine is loaded, whose threads would count as well.
    times = {count: cpu_ms(count, calibration, pictures, settings, args.rounds) for count in _TIMED_CONES}
    source, described, close = shaken_boxes(args.seed) if args.boxes == "truth" else engine_boxes(settings, calibration)
    try:
        tally = _tally(first, frames, source, calibration, settings)
    finally:
        close()
    report = _report(tally, times, described, args)
    print(json.dumps(report, indent=2))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(report, indent=2) + "\n")
    if args.plot:
        from offline_tools.stereo_benchmark.plot import plot_errors

        plot_errors(Located.join(tally.refined), Located.join(tally.centres), args.plot)
    return 0


def engine_boxes(settings: Settings, calibration: StereoCalibration) -> tuple[Boxes, str, Callable[[], None]]:
    """The car's detector as a source of boxes, its name, and what closes it. Raises EngineError, ManifestError."""
    choice = choose_for(settings, shared("engines"), ("640",))
    engine, candidate = load(choice, slots=1), choice.candidate
    detector = StereoDetector(engine, settings.changed({"stereo.enabled": False}))
    rows = calibration.size[1]
    detector.pinhole = ((calibration.cy / rows, calibration.fy / rows),) * 2

    def boxes(frame: StereoFrame) -> tuple[Detections, Detections]:
        return detector.detect(Frame(frame.left.image), Frame(frame.right.image)).detections

    name = f"{candidate.model} {candidate.precision}, {candidate.runtime} on {engine.device}"
    return boxes, f"{name}, policy {settings['policy.name']}", detector.close


def shaken_boxes(seed: int) -> tuple[Boxes, str, Callable[[], None]]:
    """True boxes of cones that are half visible, each edge with an error of its own, as a source of boxes."""
    rng = np.random.default_rng(seed)

    def one(cones: Sequence[StereoCone], side: int) -> Detections:
        seen = [cone for cone in cones if cone.boxes[side] is not None and cone.visibility[side] >= _SEEN_SHARE]
        true = np.array([cone.boxes[side] for cone in seen], np.float64).reshape(-1, 4)
        sigma = np.hypot(_SHAKE_PX, _SHAKE_SHARE * (true[:, 3] - true[:, 1]))[:, None]
        label = np.array([cone.class_index for cone in seen], np.int64)
        xyxy = (true + sigma * rng.normal(size=true.shape)).astype(np.float32)
        return Detections(xyxy, np.ones(len(seen), np.float32), label)

    def boxes(frame: StereoFrame) -> tuple[Detections, Detections]:
        return one(frame.cones, 0), one(frame.cones, 1)

    return boxes, f"true boxes, edges shaken by {_SHAKE_PX} px and {_SHAKE_SHARE:.0%} of the height", lambda: None


def _tally(
    first: StereoFrame,
    rest: Iterator[StereoFrame],
    source: Boxes,
    calibration: StereoCalibration,
    settings: Settings,
) -> Tally:
    refine = StereoLocator(calibration, settings)
    centres = StereoLocator(calibration, settings.changed({"stereo.refine": False}))
    tally = Tally([], [])
    for number, frame in enumerate(chain((first,), rest), start=1):
        left, right = source(frame)
        pictures = (Frame(frame.left.image), Frame(frame.right.image))
        for locator, parts in ((refine, tally.refined), (centres, tally.centres)):
            parts.append(compare(locator(left, right, *pictures), left, right, frame.cones))
        tally.to_locate += sum(
            min(cone.visibility) >= _SEEN_SHARE and cone.position[2] <= _FARTHEST_M for cone in frame.cones
        )
        print(f"\rpair {number}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return tally


def _report(tally: Tally, times: dict[int, dict[str, float]], boxes: str, args: argparse.Namespace) -> dict[str, Any]:
    refined, centres = Located.join(tally.refined), Located.join(tally.centres)
    depth, baseline = depth_figures(refined), depth_figures(centres)
    covered, covered_ground = coverage(refined, 0.95)
    half, half_ground = coverage(refined, 0.5)
    in_range = refined.truth[:, 2] <= _FARTHEST_M
    return {
        "median_depth_error_pct": {name: figures["median_error_pct"] for name, figures in depth.items()},
        "centre_baseline_pct": {name: figures["median_error_pct"] for name, figures in baseline.items()},
        "coverage_95": covered,
        "coverage_95_ground_plane": covered_ground,
        "coverage_50": half,
        "coverage_50_ground_plane": half_ground,
        **{f"ms_{count}_cones": figures["median"] for count, figures in times.items()},
        **{f"ms_{count}_cones_least": figures["least"] for count, figures in times.items()},
        "depth": depth,
        "depth_of_box_centres": baseline,
        "median_place_error_m": round(float(np.median(np.linalg.norm(refined.error, axis=1))), 4),
        "cones_located": len(refined.truth),
        "located_share": round(float(in_range.sum() / max(tally.to_locate, 1)), 4),
        "wrong_pairs": int(refined.wrong.sum()),
        "boxes": boxes,
        "scenes": f"{args.count} pairs, seed {args.seed}, ZED 2i geometry, 1280x720",
        "timing": f"CPU time of the process, one core, {args.rounds} calls",
        "machine": machine(),
        "versions": versions(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command on its own."""
    parser = argparse.ArgumentParser(prog="stereo_benchmark", description=__doc__.splitlines()[0] if __doc__ else "")
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except (EngineError, ManifestError, ValueError) as error:
        parser.exit(2, f"stereo_benchmark: {error}\n")
