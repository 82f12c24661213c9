# SPDX-License-Identifier: Apache-2.0
"""Tests on a real GPU, with the plans of `gpu_plans`.

A trained network sees nothing in noise: CONE_FRAMES names a folder of camera images for it, left and right in turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gpu_plans import both_passes, gpu_marks, noise_pictures, plans_folder
from numpy.typing import NDArray

from cone_detector.engine.tensorrt import TensorRtEngine
from offline_tools.build.frames import read_canvases


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marks = gpu_marks()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in marks:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Manifests of the plans of one model and precision, 320 before 640."""
    return both_passes(plans_folder(tmp_path_factory))


@pytest.fixture
def engine(plans: list[Path]) -> Iterator[TensorRtEngine]:
    engine = TensorRtEngine(plans, slots=3)
    yield engine
    engine.close()


@pytest.fixture
def pictures() -> list[NDArray[np.uint8]]:
    """Six canvases (384, 640, 3), on which a network returns different rows for each."""
    named = os.environ.get("CONE_FRAMES")
    if named is None:
        return noise_pictures()
    pairs = read_canvases(Path(named), (640, 384), 3)
    assert len(pairs) == 3, f"{named} holds {len(pairs)} pairs, 3 are needed"
    return [side for pair in pairs for side in pair]
