# SPDX-License-Identifier: AGPL-3.0-only
"""What a phase ran on, and with which versions, for its record."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cone_detector.replay.machine import machine, versions

_PACKAGES = (
    "torch", "torchvision", "ultralytics", "timm", "torch-pruning", "onnx", "onnxruntime", "onnxslim", "nncf",
    "openvino", "tensorrt", "tensorrt-rtx-cu13",
)  # fmt: skip


@cache
def surroundings() -> tuple[dict[str, Any], dict[str, str]]:
    """Machine and versions; nothing heavy is imported for it."""
    found = versions()
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return machine(), found
