# SPDX-License-Identifier: Apache-2.0
"""The demo: a stereo bag at camera rate through the real node, then figures, a video and pictures of what it found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.detections import Cones, Detections
from cone_detector.draw import (
    GROUND_AHEAD_M,
    GROUND_ASIDE_M,
    birds_eye,
    contact_sheet,
    draw_caption,
    draw_detections,
    side_by_side,
)
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError
from cone_detector.frames import FrameError
from cone_detector.paths import shared
from cone_detector.replay.bag_topics import BagError, StereoTopics
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.parameters import parse_parameters
from cone_detector.replay.processes import ReplayError, end_children_on_sigterm, ros_environment
from cone_detector.replay.report import print_summary, summarize, write_json
from cone_detector.replay.through_ros import RosReplay, replay
from cone_detector.settings import SettingError

if TYPE_CHECKING:
    from cone_detector.ros.recorder import Answer, LocatedCones

_IMAGE_WIDTH = 960
_SHEET_PICTURES = 6
# Longer side of the plot, pixels.
_PLOT_SIZE = 1200


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    end_children_on_sigterm()
    try:
        return _demo(options)
    except (BagError, FrameError, EngineError, ManifestError, ReplayError, SettingError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(options: argparse.Namespace) -> int:
    bag_path = options.bag or shared("config") / "sample"
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    domain = ros_environment()["ROS_DOMAIN_ID"]
    print(f"Replaying {bag_path} to the node for {options.seconds:g} s, on ROS_DOMAIN_ID={domain} …", flush=True)
    plan = RosReplay(
        bag_path, StereoTopics(), options.rate, options.seconds, False, parse_parameters(options.param), [], output
    )
    recording, numbers, answers = replay(plan)
    if reason := answers[-1].values["no_cones_reason"]:
        recording.notes.append(f"no cones in space: {reason}")
    summary = summarize(recording)
    write_json(output / "replay.json", summary)
    with StereoBag(bag_path) as bag:
        written = _write_pictures(bag, {numbers[answer.stamp_ns]: answer for answer in answers}, output)
    print_summary(summary)
    print("\n".join(f"{path}  {what}" for path, what in written))
    return 0


def _write_pictures(bag: StereoBag, answers: dict[int, Answer], output: Path) -> list[tuple[Path, str]]:
    """Draws the bag's answered pairs in their order. answers: the last one by the pair's number in the bag."""
    video_path, sheet_path, plot_path = (output / n for n in ("annotated.mp4", "contact_sheet.png", "birds_eye.png"))
    infos = bag.infos()
    in_order = sorted(answers)
    chosen = {in_order[i] for i in np.linspace(0, len(in_order) - 1, _SHEET_PICTURES).round().astype(int)}
    sheet: list[NDArray[np.uint8]] = []
    fullest, fullest_number = Cones.empty(), 0
    video: cv2.VideoWriter | None = None
    for number, pair in enumerate(bag.pairs()):
        if number not in answers:
            continue
        left, right = answers[number].detections
        if left is None or right is None:
            continue
        cones = _cones_of(answers[number].cones, left, right, infos)
        frames = [frame.bgr() for frame in pair.frames()]
        drawn = [draw_detections(bgr, found, cones, side)
                 for side, (bgr, found) in enumerate(zip(frames, (left, right), strict=True))]  # fmt: skip
        height = round(drawn[0].shape[0] * _IMAGE_WIDTH / drawn[0].shape[1]) // 2 * 2
        small = [cv2.resize(one, (_IMAGE_WIDTH, height), interpolation=cv2.INTER_AREA) for one in drawn]
        picture = side_by_side(small[0], small[1])
        draw_caption(picture, f"pair {number}: {answers[number].values['passes']}", (8, height - 32), 0.5)
        above = birds_eye(cones, (height * 3 // 4 // 2 * 2, height))
        picture = np.hstack([picture, above])
        if video is None:
            size = (picture.shape[1], picture.shape[0])
            video = cv2.VideoWriter(str(video_path), cv2.VideoWriter.fourcc(*"mp4v"), bag.rate_hz() or 30.0, size)
        video.write(picture)
        if number in chosen:
            sheet.append(picture)
        if len(cones) >= len(fullest):
            fullest, fullest_number = cones, number
    if video is not None:
        video.release()
    cv2.imwrite(str(sheet_path), contact_sheet(sheet, columns=1, width=1800))
    # As far as the farthest cone, so that as many are seen as the caption counts.
    aside, _, ahead = np.abs(fullest.position).max(axis=0, initial=0.0)
    ahead, aside = max(GROUND_AHEAD_M, ahead + 1), max(GROUND_ASIDE_M, aside + 0.5)
    longer = max(ahead, 2 * aside)
    plot = birds_eye(
        fullest, (round(_PLOT_SIZE * 2 * aside / longer), round(_PLOT_SIZE * ahead / longer)), ahead, aside
    )
    reason = answers[fullest_number].values["no_cones_reason"]
    what = f"no cones in space: {reason}" if reason else f"{len(fullest)} cones located; ellipses are two sigma"
    draw_caption(plot, f"pair {fullest_number}: {what}", (8, 8), 0.6)
    cv2.imwrite(str(plot_path), plot)
    return [
        (video_path, f"{len(answers)} pairs with their cones"),
        (sheet_path, f"{len(sheet)} of them"),
        (plot_path, f"the {len(fullest)} cones located in the fullest pair, from above"),
    ]


def _cones_of(
    located: LocatedCones | None, left: Detections, right: Detections, infos: tuple[Any | None, Any | None]
) -> Cones:
    """A `cones` message as the core's cones, each with the boxes whose foot it projects onto."""
    left_info, right_info = infos
    optical = located is not None and (left_info is None or located.frame_id == left_info.header.frame_id)
    if located is None or not optical or not len(located.label) or left_info is None or right_info is None:
        return Cones.empty()
    indices = [_nearest_foot(located.position, found, info) for found, info in ((left, left_info), (right, right_info))]
    nothing = np.full(len(located.label), np.nan)
    return Cones(
        located.position, located.covariance, located.score, located.label, nothing, nothing, indices[0], indices[1]
    )


def _nearest_foot(position: NDArray[np.float64], found: Detections, info: Any) -> NDArray[np.int64]:
    """(N,) index of the box whose lower middle lies nearest to where each (N, 3) point appears in this camera."""
    homogeneous = np.column_stack([position, np.ones(len(position))]) @ np.asarray(info.p).reshape(3, 4).T
    pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    feet = np.column_stack([found.xyxy[:, [0, 2]].mean(axis=1), found.xyxy[:, 3]])
    return np.linalg.norm(pixels[:, None] - feet[None], axis=2).argmin(axis=1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cone_detector.demo", description=__doc__)
    parser.add_argument("--bag", type=Path, help="rosbag2 recording; default: the sample that comes with the package")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for what is written")
    parser.add_argument("--seconds", type=float, default=15.0, help="loop over the bag for so long")
    parser.add_argument("--rate", type=float, default=0.0, help="pairs a second; 0: as recorded")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the node")
    return parser


if __name__ == "__main__":
    sys.exit(main())
