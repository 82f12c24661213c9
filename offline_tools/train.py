# SPDX-License-Identifier: AGPL-3.0-only
"""Training from a configuration file, in stages, by ultralytics' trainer."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cone_detector.engine.manifest import file_sha256
from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import Source, prepare, split_sha256
from offline_tools.datasets.sample import DatasetError

# Cones stand upright and are told apart by colour; ultralytics' defaults for the rest.
_FIXED = {"flipud": 0.0, "bgr": 0.0, "degrees": 2.0, "fliplr": 0.5, "hsv_h": 0.008}
_LARGEST_HUE_JITTER = 0.015


class TrainError(ValueError):
    """A training configuration that cannot be used; the message names the key, its value and the fix."""


@dataclass(frozen=True)
class Stage:
    """One call of the trainer. It starts from the best weights of the stage before it.

    settings: ultralytics' training arguments (epochs, imgsz, lr0, freeze, …).
    """

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    """A file of config/train. model: an ultralytics YAML name, or a .pt to start from."""

    name: str
    model: str
    sources: Sequence[Source]
    stages: Sequence[Stage]
    wandb: str = "disabled"
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> TrainConfig:
    """Reads a training configuration; source paths are relative to the working directory. Raises TrainError."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise TrainError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise TrainError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise TrainError(f"{path} must map keys to values")
    unknown = sorted(set(values) - {"name", "model", "sources", "stages", "wandb", "settings"})
    missing = sorted({"name", "model", "sources", "stages"} - set(values))
    if unknown or missing:
        raise TrainError(f"{path}: unknown keys {unknown}, missing keys {missing}")
    if values.get("wandb", "disabled") not in ("disabled", "offline", "online"):
        raise TrainError(f"{path}: wandb is '{values['wandb']}', must be disabled, offline or online")
    try:
        sources = [_source(entry) for entry in values["sources"]]
        stages = [Stage(str(entry.pop("name")), entry) for entry in values["stages"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise TrainError(f"{path}: sources need `path` and stages need `name`: {error!r}") from error
    config = TrainConfig(
        str(values["name"]),
        str(values["model"]),
        sources,
        stages,
        values.get("wandb", "disabled"),
        values.get("settings", {}),
    )
    for stage in stages:
        _check_augmentation({**config.settings, **stage.settings}, path)
    return config


def _source(entry: dict[str, Any]) -> Source:
    aspect = entry.get("aspect")
    return Source(
        Path(entry["path"]),
        (int(aspect[0]), int(aspect[1])) if aspect else None,
        entry.get("repeat", {}),
        int(entry.get("border", 0)),
        int(entry.get("longest", 0)),
        _split(entry.get("split", "")),
        float(entry.get("smallest", 1.0)),
    )


def _split(name: str) -> str:
    if name not in ("", "train", "val"):
        raise TrainError(f"split '{name}' of a source: use train or val; test images are never trained on")
    return name


def _check_augmentation(settings: Mapping[str, Any], path: Path) -> None:
    if settings.get("flipud", 0) > 0:
        raise TrainError(f"{path}: flipud is {settings['flipud']}, must be 0: no cone stands on its tip")
    if settings.get("hsv_h", 0) > _LARGEST_HUE_JITTER:
        raise TrainError(
            f"{path}: hsv_h is {settings['hsv_h']}, must be at most {_LARGEST_HUE_JITTER}: "
            "more turns a yellow cone into an orange one"
        )
    if settings.get("bgr", 0) > 0:
        raise TrainError(f"{path}: bgr is {settings['bgr']}, must be 0: swapped channels turn blue cones orange")


def train(
    config: TrainConfig,
    runs: Path,
    data: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    guard: SplitGuard | None = None,
) -> Path:
    """Runs every stage of `config` under `runs / config.name`; returns the best weights of the last.

    data: a folder made by `prepare`; made from the sources where None.
    overrides: ultralytics' arguments that win over the file's, for every stage (device, epochs, batch, workers).
    resume: go on where a killed run stopped; finished stages are not repeated.
    Raises TrainError or DatasetError before anything is trained.
    """
    guard = guard or SplitGuard.load()
    directory = (runs / config.name).resolve()
    if data is None:
        data = directory / "data"
        if not (resume and (data / "prepared.json").exists()):
            prepare(config.sources, data, guard)
    elif not (data / "prepared.json").exists():
        raise DatasetError(f"{data} holds no prepared data: run `cone-tools data prepare`")
    hashes = {split: split_sha256(data, split, guard) for split in ("train", "val")}
    _configure_wandb(config)
    weights = config.model
    for stage in config.stages:
        settings = {**_FIXED, **config.settings, **stage.settings, **(overrides or {})}
        folder = directory / stage.name
        best = folder / "weights" / "best.pt"
        if not (resume and (folder / "stage.json").exists()):
            _run_stage(weights, data, folder, settings, resume, hashes)
        weights = str(best)
    return Path(weights)


def _run_stage(
    weights: str,
    data: Path,
    folder: Path,
    settings: dict[str, Any],
    resume: bool,
    hashes: Mapping[str, str],
) -> None:
    import torch
    import ultralytics
    from ultralytics import YOLO

    from offline_tools.trainer import ConeTrainer

    start = time.time()
    state, checkpoint = find_checkpoint(folder / "weights") if resume else ("none", None)
    if state == "unfinished":
        YOLO(checkpoint).train(trainer=ConeTrainer, resume=True)
    elif state == "none":
        settings = {
            **settings,
            "data": str((data / "data.yaml").resolve()),
            "project": str(folder.parent),
            "name": folder.name,
            "exist_ok": True,
            "pretrained": weights.endswith(".pt"),
        }
        YOLO(weights).train(trainer=ConeTrainer, **settings)
    best = folder / "weights" / "best.pt"
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    (folder / "stage.json").write_text(
        json.dumps(
            {
                "start_weights": Path(weights).name,
                "weights_sha256": file_sha256(best),
                "data_sha256": dict(hashes),
                "seconds": round(time.time() - start, 1),
                "device": gpu or platform.processor() or platform.machine(),
                "versions": {"ultralytics": ultralytics.__version__, "torch": torch.__version__},
                "settings": {key: value for key, value in settings.items() if key not in ("data", "project")},
            },
            indent=1,
        )
        + "\n"
    )


def find_checkpoint(weights: Path) -> tuple[str, Path | None]:
    """Where a killed stage stopped: ("unfinished", checkpoint), ("finished", best) or ("none", None).

    A kill while a checkpoint is written leaves half a file: then the other one serves.
    """
    import torch

    for name in ("last.pt", "best.pt"):
        path = weights / name
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            continue
        # Once the last epoch is done ultralytics strips the optimizer and sets the epoch, counted from 0, to -1.
        last_epoch = checkpoint.get("train_args", {}).get("epochs", 0) - 1
        if checkpoint.get("optimizer") is not None and 0 <= checkpoint.get("epoch", -1) < last_epoch:
            return "unfinished", path
        return "finished", weights / "best.pt"
    return "none", None


def _configure_wandb(config: TrainConfig) -> None:
    os.environ["WANDB_MODE"] = config.wandb
    if config.wandb != "disabled":
        # Ultralytics leaves logging out without a word where the package is missing.
        if importlib.util.find_spec("wandb") is None:
            raise TrainError(f"wandb is {config.wandb}, but the package is not installed: pip install wandb")
        from ultralytics import settings

        settings.update({"wandb": True})
