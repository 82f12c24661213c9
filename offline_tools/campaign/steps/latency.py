# SPDX-License-Identifier: AGPL-3.0-only
"""What an engine costs on this machine: two camera images in, cones of both out, stage by stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from cone_detector.detector import StereoDetector
from cone_detector.engine.manifest import read_manifest
from cone_detector.paths import shared
from cone_detector.settings import Settings
from offline_tools.campaign.step import Job

VERSION = 1
_BURN_IN = 10


def run(job: Job) -> dict[str, Any]:
    """Returns milliseconds a pair of the sample recording: p50 and p99 in all, p50 of each stage."""
    from cone_detector.replay.bags import StereoBag
    from offline_tools.onnx_engine import open_engine

    path = job.path("engine")
    manifest = read_manifest(path)
    with StereoBag(shared("config") / "sample") as bag:
        pairs = [pair.frames() for pair in bag.pairs()]
    settings = Settings({"policy.name": f"fixed_{manifest.name}", "stereo.enabled": False})
    detector = StereoDetector(open_engine(path), settings)
    try:
        for index in range(_BURN_IN):
            detector.detect(*pairs[index % len(pairs)])
        times = [detector.detect(*pairs[index % len(pairs)]).ms for index in range(job.settings["pairs"])]
        device = detector.engine.device
    finally:
        detector.close()
    total = np.array([sum(one.values()) for one in times])
    stages = {
        f"{stage}_ms_p50": _rounded(np.percentile([one[stage] for one in times], 50))
        for stage in ("letterbox", "inference", "nms")
    }
    return {
        "detector_ms_p50": _rounded(np.percentile(total, 50)),
        "detector_ms_p99": _rounded(np.percentile(total, 99)),
        **stages,
        "pairs": len(times),
        "engine": device,
        "runtime": f"{manifest.runtime.name} {manifest.runtime.version}",
    }


def _rounded(value: Any) -> float:
    return round(float(value), 3)
