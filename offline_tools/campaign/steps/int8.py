# SPDX-License-Identifier: AGPL-3.0-only
"""Float ONNX to INT8, calibrated on the training split."""

from __future__ import annotations

from typing import Any

from cone_detector.engine.manifest import read_manifest
from offline_tools.campaign.step import Job
from offline_tools.campaign.steps.evaluate import dataset
from offline_tools.datasets.guard import SplitGuard

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Writes OpenVINO's INT8, and Q/DQ where TensorRT is asked for; returns what it was calibrated on."""
    from offline_tools.quantize import calibration_frames, quantize_openvino, quantize_qdq

    frames = calibration_frames(dataset(job), "train", SplitGuard.load(), job.settings["images"])
    manifest = quantize_openvino(job.path("engine"), frames, job.folder)
    if "tensorrt" in job.settings["runtimes"]:
        quantize_qdq(job.path("engine"), frames, job.folder)
    found = read_manifest(manifest)
    return {"file": found.file, "images": len(frames.samples), "split": "train", "data_sha256": frames.sha256}
