# SPDX-License-Identifier: AGPL-3.0-only
"""From a sweep's file to running trials: the folder, the data, the backend."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import prepare
from offline_tools.sweep import SweepError
from offline_tools.sweep.config import TECHNIQUE, Sweep, trial_config
from offline_tools.sweep.record import TRIALS, TrialRecord, wait_lock, write_json
from offline_tools.sweep.runner import TRAIN, Job
from offline_tools.train import read_config

SWEEP = "sweep.json"
_LOCK = "lock"
# What may change when a sweep goes on: more trials, more patience, another way to look at them.
_MAY_CHANGE = frozenset({"trials", "timeout_minutes", "wandb"})


def open_folder(sweep: Sweep, folder: Path, data: Path | None, registry: Path, device: str = "") -> Job:
    """Makes or joins a sweep's folder and prepares its data once, whoever comes first.

    data: a folder of `cone-tools data prepare` instead of the training configuration's sources.
    Raises SweepError where the folder holds another sweep or a setting is unknown; DatasetError for the data.
    """
    check_names(sweep)
    check_packages(sweep)
    (folder / TRIALS).mkdir(parents=True, exist_ok=True)
    with wait_lock(folder / _LOCK):
        _check_same(sweep, folder)
        guard = SplitGuard.load(registry)
        if data is None:
            data = folder / "data"
            if not (data / "prepared.json").exists():
                file = folder / "training.yaml"
                file.write_text(yaml.safe_dump(trial_config(sweep, "0", {}), sort_keys=False))
                prepare(read_config(file).sources, data, guard)
        elif not (data / "prepared.json").exists():
            raise SweepError(f"{data} holds no prepared data: run `cone-tools data prepare`")
        write_json(folder / SWEEP, dataclasses.asdict(sweep))
    return Job(sweep, folder.resolve(), data.resolve(), registry.resolve(), device, TRAIN)


def run(job: Job, storage: str, ended: Callable[[TrialRecord], None]) -> None:
    """Runs the sweep's trials by its backend; `ended` is told of each."""
    if job.sweep.backend == "ray":
        from offline_tools.sweep.ray_tune import run as run_by_ray

        run_by_ray(job, ended)
    else:
        from offline_tools.sweep.study import run as run_by_optuna

        run_by_optuna(job, storage, ended)


def check_names(sweep: Sweep) -> None:
    """Raises SweepError for a setting that ultralytics does not know. Without ultralytics the trainer will say so."""
    found = importlib.util.find_spec("ultralytics")
    if found is None or not found.submodule_search_locations:
        return
    # Its defaults list every argument; importing them from the package would import torch.
    file = Path(found.submodule_search_locations[0]) / "cfg" / "default.yaml"
    known = set(yaml.safe_load(file.read_text()))
    asked = {name for name in sweep.space if not name.startswith(TECHNIQUE)} | set(sweep.settings)
    if unknown := sorted(asked - known):
        raise SweepError(f"ultralytics' trainer has no argument {', '.join(unknown)}: see its `yolo cfg`")


def check_packages(sweep: Sweep) -> None:
    """Raises SweepError where the backend or W&B is asked for and not installed."""
    wanted = {"optuna": "optuna", "ray": "ray[tune]"}[sweep.backend]
    if importlib.util.find_spec(sweep.backend) is None:
        raise SweepError(f"backend is {sweep.backend}, which is not installed: pip install '{wanted}'")
    if sweep.wandb != "disabled" and importlib.util.find_spec("wandb") is None:
        raise SweepError(f"wandb is {sweep.wandb}, but the package is not installed: pip install wandb")


def _check_same(sweep: Sweep, folder: Path) -> None:
    if not (folder / SWEEP).exists():
        return
    before: Mapping[str, Any] = json.loads((folder / SWEEP).read_text())
    now = json.loads(json.dumps(dataclasses.asdict(sweep)))
    other = sorted(key for key in now if key not in _MAY_CHANGE and before.get(key) != now[key])
    if other:
        raise SweepError(f"{folder} holds a sweep with another {', '.join(other)}: give this one another name")
