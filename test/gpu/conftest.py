# SPDX-License-Identifier: Apache-2.0
"""Tests on a real GPU, with plans that `make engines` built. CONE_PLANS names their folder (default: engines/)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cone_detector.engine import cuda
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import read_manifest
from cone_detector.engine.tensorrt import TensorRtEngine

ROOT = Path(__file__).resolve().parents[2]


def _no_gpu() -> str:
    try:
        cuda.device()
    except EngineError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _no_gpu()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def plans() -> list[Path]:
    """Manifests of the plans of one model and precision, 320 before 640."""
    folder = Path(os.environ.get("CONE_PLANS", ROOT / "engines"))
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        manifest = read_manifest(path)
        if manifest.runtime.name.startswith("tensorrt"):
            groups.setdefault((manifest.model, manifest.precision), {})[manifest.name] = path
    for found in groups.values():
        if {"320", "640"} <= found.keys():
            return [found["320"], found["640"]]
    pytest.fail(f"no plans of both resolutions in {folder}: run `make engines`")


@pytest.fixture
def engine(plans: list[Path]) -> Iterator[TensorRtEngine]:
    engine = TensorRtEngine(plans, slots=3)
    yield engine
    engine.close()


@pytest.fixture
def pictures() -> list[NDArray[np.uint8]]:
    """Canvases (384, 640, 3) of soft noise, on which a network returns different rows for each."""
    rng = np.random.default_rng(4)
    noise = [rng.integers(0, 256, (24, 40, 3), dtype=np.uint8) for _ in range(6)]
    return [np.asarray(cv2.resize(one, (640, 384), interpolation=cv2.INTER_CUBIC), np.uint8) for one in noise]
