# SPDX-License-Identifier: Apache-2.0
"""Tests on a real GPU: with plans of a small network, built in seconds, or with those in the folder CONE_PLANS.

A trained network sees nothing in noise: CONE_FRAMES names a folder of camera images for it, left and right in turn.
"""

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
from offline_tools.build.frames import read_canvases


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
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Manifests of the plans of one model and precision, 320 before 640."""
    named = os.environ.get("CONE_PLANS")
    folder = Path(named) if named else _build_small(tmp_path_factory.mktemp("plans"))
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        manifest = read_manifest(path)
        if manifest.runtime.name.startswith("tensorrt"):
            groups.setdefault((manifest.model, manifest.precision), {})[manifest.name] = path
    for found in groups.values():
        if {"320", "640"} <= found.keys():
            return [found["320"], found["640"]]
    pytest.fail(f"no plans of both resolutions in {folder}: run `make engines`")


def _build_small(folder: Path) -> Path:
    """Builds the plans by the command that the car runs, verification on real frames included."""
    from small_network import save

    from offline_tools.build.command import run

    for name in ("320", "640"):
        save(folder, name=name)
    images = folder / "frames"
    images.mkdir()
    for index, picture in enumerate(_pictures()):
        cv2.imwrite(str(images / f"{index}.png"), picture)
    code = run(_options(["--engines", str(folder), "--frames", str(images), "--level", "1"]))
    assert code == 0, "the small network could not be built and verified: see the output above"
    return folder


def _options(arguments: list[str]):  # type: ignore[no-untyped-def]
    import argparse

    from offline_tools.build.command import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


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
        return _pictures()
    pairs = read_canvases(Path(named), (640, 384), 3)
    assert len(pairs) == 3, f"{named} holds {len(pairs)} pairs, 3 are needed"
    return [side for pair in pairs for side in pair]


def _pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(4)
    noise = [rng.integers(0, 256, (24, 40, 3), dtype=np.uint8) for _ in range(6)]
    return [np.asarray(cv2.resize(one, (640, 384), interpolation=cv2.INTER_CUBIC), np.uint8) for one in noise]
