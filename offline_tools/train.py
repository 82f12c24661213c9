# SPDX-License-Identifier: AGPL-3.0-only
"""Training from a configuration, in stages, by ultralytics' trainer."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cone_detector.engine.manifest import file_sha256
from cone_detector.replay.machine import machine
from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import prepare, split_sha256
from offline_tools.datasets.sample import DatasetError
from offline_tools.results import MAP50, MAP50_95, best_epoch, read_epochs
from offline_tools.technique import Distill, describe, make_start
from offline_tools.train_config import Stage, TrainConfig, TrainError, check_augmentation, read_config

__all__ = ["Stage", "TrainConfig", "TrainError", "find_checkpoint", "read_config", "train"]

# Cones stand upright and are told apart by colour; ultralytics' defaults for the rest.
_FIXED = {"flipud": 0.0, "bgr": 0.0, "degrees": 2.0, "fliplr": 0.5, "hsv_h": 0.008}

# Whose versions decide what is trained.
_PACKAGES = ("ultralytics", "torch", "torchvision", "timm", "torch-pruning")


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
    Raises TrainError, TechniqueError or DatasetError before anything is trained.
    """
    for stage in config.stages:
        check_augmentation({**config.settings, **stage.settings, **(overrides or {})}, f"stage {stage.name}")
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
    weights, start = config.model, {}
    if config.technique is not None:
        seed = int({**config.settings, **(overrides or {})}.get("seed", 0))
        weights = str(directory / "start.pt")
        start = make_start(config.technique, config.model, Path(weights), seed, reuse=resume)
    for stage in config.stages:
        settings = {**_FIXED, **config.settings, **stage.settings, **(overrides or {})}
        folder = directory / stage.name
        best = folder / "weights" / "best.pt"
        if not (resume and (folder / "stage.json").exists()):
            begun = time.time()
            _run_stage(config, weights, data, folder, settings, resume)
            record = {
                "start_weights": Path(weights).name,
                "weights_sha256": file_sha256(best),
                "data_sha256": hashes,
                "seconds": round(time.time() - begun, 1),
                **_facts(config, folder, settings),
                **({"start": start} if start else {}),
                "settings": {key: value for key, value in settings.items() if key not in ("data", "project")},
            }
            (folder / "stage.json").write_text(json.dumps(record, indent=1) + "\n")
        weights = str(best)
    return Path(weights)


def _run_stage(
    config: TrainConfig, weights: str, data: Path, folder: Path, settings: dict[str, Any], resume: bool
) -> None:
    from ultralytics import YOLO

    from offline_tools.trainer import ConeTrainer

    trainer: type[ConeTrainer] = ConeTrainer
    where = {"data": str((data / "data.yaml").resolve())}
    if isinstance(config.technique, Distill):
        from offline_tools.distill import DistillTrainer

        trainer = DistillTrainer
        where["distill_model"] = str(Path(config.technique.teacher).resolve())
    state, checkpoint = find_checkpoint(folder / "weights") if resume else ("none", None)
    if state == "unfinished":
        # A run may go on in another place, or on another machine, than it was killed on.
        here = {key: settings[key] for key in ("device", "workers", "cache") if key in settings}
        YOLO(checkpoint).train(trainer=trainer, resume=True, save_dir=str(folder), **where, **here)
    elif state == "none":
        settings = {
            **settings,
            **where,
            "project": str(folder.parent),
            "name": folder.name,
            "exist_ok": True,
            "pretrained": weights.endswith(".pt"),
        }
        YOLO(weights).train(trainer=trainer, **settings)


def _facts(config: TrainConfig, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was trained, how large it is, how good on val, on what."""
    from offline_tools import networks

    rows = read_epochs(folder / "results.csv")
    best = best_epoch(rows)
    return {
        "model": config.model,
        "technique": describe(config.technique) if config.technique else None,
        **networks.size(networks.load(folder / "weights" / "best.pt", "trained weights")),
        "map50": best[MAP50],
        "map50_95": best[MAP50_95],
        "epochs": len(rows),
        "best_epoch": int(best["epoch"]),
        "seed": int(settings.get("seed", 0)),
        "device": _device(str(settings.get("device", ""))),
        "versions": {name: _version(name) for name in _PACKAGES if _version(name)},
    }


def _device(chosen: str) -> str:
    import torch

    if chosen == "cpu" or not torch.cuda.is_available():
        return str(machine()["cpu"])
    indices = [int(part) for part in chosen.split(",") if part.strip().isdigit()] or [0]
    name = torch.cuda.get_device_name(indices[0])
    return name if len(indices) == 1 else f"{len(indices)} x {name}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


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
