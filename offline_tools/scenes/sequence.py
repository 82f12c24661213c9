# SPDX-License-Identifier: AGPL-3.0-only
"""Stereo sequences on disk: left/ and right/ PNG files, calibration.json and truth.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cone_detector.classes import CLASS_NAMES
from offline_tools.scenes.dataset import seen
from offline_tools.scenes.stereo import StereoCone, StereoFrame, StereoRig


def write_sequence(folder: Path, frames: Iterable[StereoFrame], rig: StereoRig | None = None) -> int:
    """Writes a sequence.

    truth.json is a list, one entry a frame: `seconds` and `cones`, each with `id`, `class`, `xyz` (base centre in
    the left optical frame, metres), `disparity` (pixels), `left` and `right` (visible box x1, y1, x2, y2 in pixels,
    or null where the cone is not seen well enough for a label), `visibility` (left, right).

    Returns:
        The number of frames.
    """
    rig = rig or StereoRig()
    for eye in ("left", "right"):
        (folder / eye).mkdir(parents=True, exist_ok=True)
    (folder / "calibration.json").write_text(json.dumps(rig.calibration(), indent=2) + "\n")
    truth = []
    for number, frame in enumerate(frames):
        for eye, picture in (("left", frame.left), ("right", frame.right)):
            cv2.imwrite(str(folder / eye / f"{number:06d}.png"), picture.image)
        truth.append(
            {
                "seconds": round(frame.seconds, 6),
                "cones": [row for cone in frame.cones if (row := _row(cone, rig)) is not None],
            }
        )
    (folder / "truth.json").write_text(json.dumps(truth) + "\n")
    return len(truth)


def _row(cone: StereoCone, rig: StereoRig) -> dict[str, Any] | None:
    boxes = [
        np.round(box, 2).tolist() if box is not None and seen(box, visibility, rig.lens.width) else None
        for box, visibility in zip(cone.boxes, cone.visibility, strict=True)
    ]
    if boxes == [None, None]:
        return None
    return {
        "id": cone.cone,
        "class": CLASS_NAMES[cone.class_index],
        "xyz": np.round(cone.position, 4).tolist(),
        "disparity": round(cone.disparity, 4),
        "left": boxes[0],
        "right": boxes[1],
        "visibility": [round(share, 3) for share in cone.visibility],
    }
