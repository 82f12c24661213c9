# SPDX-License-Identifier: AGPL-3.0-only
"""One training, by `offline_tools.train`; goes on where a killed one stopped."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from offline_tools.campaign.step import Job
from offline_tools.datasets.guard import SplitGuard
from offline_tools.results import read_epochs
from offline_tools.train_config import TrainConfig, read_config

VERSION = 1


def run(job: Job) -> dict[str, Any]:
    """Trains all stages; returns the record of the last."""
    from offline_tools.train import train

    config = write_config(job)
    data = job.path("data")
    if data.is_file():
        data = data.parent / "data"
    read_labels(data)
    overrides = {**job.record.labels.get("loader", {}), "device": job.device}
    best = train(config, job.root / "phases", data, overrides, resume=True, guard=SplitGuard.load())
    stage = json.loads((best.parent.parent / "stage.json").read_text())
    return {key: value for key, value in stage.items() if key != "settings"}


def write_config(job: Job) -> TrainConfig:
    """Writes the phase's training configuration, with weights of other phases in place of "@NAME", to its folder."""
    settings = job.settings

    def filled(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("@"):
            return str(job.path(f"weights:{value[1:]}"))
        return value

    values = {
        "name": job.record.phase,
        "model": filled(settings["model"]),
        "sources": [],
        "stages": settings["stages"],
        "settings": settings["settings"],
    }
    if settings["technique"]:
        values["technique"] = {key: filled(value) for key, value in settings["technique"].items()}
    path = job.folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return read_config(path)


def read_labels(data: Path) -> None:
    """Has ultralytics read all labels once, one process at a time.

    It keeps them in a file beside them, and trainings that start together would write that file at once.
    """
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    settings = check_det_dataset(str((data / "data.yaml").resolve()))
    with _locked(data / ".labels.lock"):
        for split in ("train", "val"):
            YOLODataset(img_path=settings[split], data=settings, task="detect", augment=False, cache=False)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def epochs_done(folder: Path, settings: dict[str, Any]) -> tuple[int, int]:
    """Epochs that a training has behind it, and epochs in all."""
    done = 0
    for stage in settings["stages"]:
        try:
            # A killed run repeats the row of an epoch whose checkpoint was not yet written.
            done += len({row["epoch"] for row in read_epochs(folder / stage["name"] / "results.csv")})
        except (OSError, ValueError, TypeError):
            continue
    return done, int(settings["epochs"])


def last_epochs(folder: Path, settings: dict[str, Any]) -> list[dict[str, float]]:
    """The trainer's rows of the last stage that a training began; none where it wrote none."""
    for stage in reversed(settings["stages"]):
        try:
            return read_epochs(folder / stage["name"] / "results.csv")
        except (OSError, ValueError, TypeError):
            continue
    return []
