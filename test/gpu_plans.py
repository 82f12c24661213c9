# SPDX-License-Identifier: Apache-2.0
"""TensorRT plans for tests on a real GPU: of a small network, built in seconds, or those in the folder CONE_PLANS."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cone_detector.engine import cuda
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import read_manifest


def gpu_marks() -> list[pytest.MarkDecorator]:
    """For tests on a GPU: they are skipped where there is none, and say why."""
    try:
        cuda.device()
    except EngineError as error:
        return [pytest.mark.gpu, pytest.mark.skip(reason=str(error))]
    return [pytest.mark.gpu]


def plans_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder with plans of both resolutions, and the float ONNX that they were built from."""
    named = os.environ.get("CONE_PLANS")
    return Path(named) if named else _build_small(factory.mktemp("plans"))


def both_passes(folder: Path) -> list[Path]:
    """Manifests of the plans of one model and precision, 320 before 640."""
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        manifest = read_manifest(path)
        if manifest.runtime.name.startswith("tensorrt"):
            groups.setdefault((manifest.model, manifest.precision), {})[manifest.name] = path
    for found in groups.values():
        if {"320", "640"} <= found.keys():
            return [found["320"], found["640"]]
    pytest.fail(f"no plans of both resolutions in {folder}: run `make engines`")


def noise_pictures() -> list[NDArray[np.uint8]]:
    """Six canvases (384, 640, 3), on which an untrained network returns different rows for each."""
    rng = np.random.default_rng(4)
    noise = [rng.integers(0, 256, (24, 40, 3), dtype=np.uint8) for _ in range(6)]
    return [np.asarray(cv2.resize(one, (640, 384), interpolation=cv2.INTER_CUBIC), np.uint8) for one in noise]


def _build_small(folder: Path) -> Path:
    """Builds the plans by the command that the car runs, verification on real frames included."""
    from small_network import save

    from offline_tools.build.command import add_arguments, run

    for name in ("320", "640"):
        save(folder, name=name)
    images = folder / "frames"
    images.mkdir()
    for index, picture in enumerate(noise_pictures()):
        cv2.imwrite(str(images / f"{index}.png"), picture)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    code = run(parser.parse_args(["--engines", str(folder), "--frames", str(images), "--level", "1"]))
    assert code == 0, "the small network could not be built and verified: see the output above"
    return folder
