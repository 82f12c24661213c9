# SPDX-License-Identifier: AGPL-3.0-only
"""The file of a sweep, and the training configuration that each trial gets."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from offline_tools.sweep import SweepError
from offline_tools.sweep.space import Parameter, read_space, refuse_reserved
from offline_tools.train import TrainError, read_config

# Columns of the trainer's results.csv, measured on val after each epoch.
METRICS = {"map50": "metrics/mAP50(B)", "map50_95": "metrics/mAP50-95(B)"}
BACKENDS = ("optuna", "ray")
TECHNIQUE = "technique."
TRIALS = "trials"
_PRUNERS = ("median", "hyperband", "none")
_REQUIRED = {"name", "train", "space", "trials"}
_OPTIONAL = {"model", "stage", "metric", "backend", "pruner", "seed", "settings", "wandb", "timeout_minutes"}


@dataclass(frozen=True)
class Pruner:
    """When a trial is stopped early. kind: "median", "hyperband" or "none".

    startup_trials: finished trials before the median judges. min_epochs: that every trial gets.
    """

    kind: str = "median"
    startup_trials: int = 5
    min_epochs: int = 5


@dataclass(frozen=True)
class Sweep:
    """A file of config/sweep.

    training: the training configuration's values, with `stages` cut down to the one that is swept and `model` replaced
        where the sweep names one.
    settings: ultralytics' arguments that hold for every trial. metric: a key of METRICS.
    timeout_minutes: a trial that takes longer is stopped and counts as failed; 0 lets it.
    """

    name: str
    training: Mapping[str, Any]
    space: Mapping[str, Parameter]
    trials: int
    metric: str = "map50_95"
    backend: str = "optuna"
    pruner: Pruner = field(default_factory=Pruner)
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    wandb: str = "disabled"
    timeout_minutes: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs of a trial that is not stopped early."""
        return int(_base(self)["epochs"])


def read_sweep(path: Path) -> Sweep:
    """Reads a sweep's file; `train` is relative to the working directory. Raises SweepError, TrainError.

    Every end of the search space goes through the checks of a training configuration, so a setting that training
    refuses is refused here, before anything runs.
    """
    values = _mapping(path)
    unknown = sorted(set(values) - _REQUIRED - _OPTIONAL)
    missing = sorted(_REQUIRED - set(values))
    if unknown or missing:
        raise SweepError(f"{path}: unknown keys {unknown}, missing keys {missing}")
    try:
        sweep = Sweep(
            name=str(values["name"]),
            training=_training(Path(values["train"]), values.get("stage"), values.get("model")),
            space=read_space(values["space"]),
            trials=_whole("trials", values["trials"], 1),
            metric=_one_of("metric", values.get("metric", "map50_95"), METRICS),
            backend=_one_of("backend", values.get("backend", "optuna"), BACKENDS),
            pruner=_pruner(values.get("pruner", {})),
            seed=_whole("seed", values.get("seed", 0), 0),
            settings=_settings(values.get("settings", {})),
            wandb=_one_of("wandb", values.get("wandb", "disabled"), ("disabled", "offline", "online")),
            timeout_minutes=float(values.get("timeout_minutes", 0)),
        )
        _check(sweep)
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from error
    return sweep


def trial_config(sweep: Sweep, label: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The training configuration of one trial: the swept stage with `params` in it, in the folder TRIALS/label.

    Parameters that begin with "technique." go there; all others are arguments of ultralytics' trainer.
    """
    config = copy.deepcopy({**sweep.training, "name": f"{TRIALS}/{label}", "wandb": sweep.wandb})
    stage = config["stages"][0]
    stage.update(sweep.settings)
    for name, value in params.items():
        if name.startswith(TECHNIQUE):
            config["technique"][name.removeprefix(TECHNIQUE)] = value
        else:
            stage[name] = value
    # The stage's folder is the run's own: its parent, W&B's project, is then the same for all trials.
    stage["name"] = "."
    return config


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SweepError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise SweepError(f"{path} must map keys to values")
    return values


def _training(path: Path, stage: object, model: object) -> dict[str, Any]:
    read_config(path)
    values = _mapping(path)
    names = [str(entry["name"]) for entry in values["stages"]]
    if stage is None and len(names) > 1:
        raise SweepError(f"{path} has the stages {', '.join(names)}: say which is swept, as `stage: '{names[0]}'`")
    chosen = names[0] if stage is None else str(stage)
    if chosen not in names:
        raise SweepError(f"stage is {stage}, {path} has {', '.join(names)}")
    stages = [values["stages"][names.index(chosen)]]
    return {**values, "model": str(model or values["model"]), "stages": stages}


def _settings(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise SweepError(f"settings is {values!r}, must map arguments of the trainer to values")
    for name in values:
        refuse_reserved(str(name))
    return values


def _pruner(values: object) -> Pruner:
    if not isinstance(values, dict) or set(values) - {"kind", "startup_trials", "min_epochs"}:
        raise SweepError(f"pruner is {values!r}, must map kind, startup_trials and min_epochs to values")
    return Pruner(
        _one_of("pruner kind", values.get("kind", "median"), _PRUNERS),
        _whole("startup_trials", values.get("startup_trials", 5), 1),
        _whole("min_epochs", values.get("min_epochs", 5), 1),
    )


def _one_of(key: str, value: Any, allowed: Any) -> str:
    if value not in allowed:
        raise SweepError(f"{key} is '{value}', must be one of {', '.join(allowed)}")
    return str(value)


def _whole(key: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SweepError(f"{key} is {value!r}, must be a whole number of at least {least}")
    return value


def _check(sweep: Sweep) -> None:
    """Sends each end of the space through the checks of a training configuration."""
    base = _base(sweep)
    both = sorted(set(sweep.settings) & set(sweep.space))
    if both:
        raise SweepError(f"{both[0]} stands under settings and under space: keep one")
    for name in sweep.space:
        if name.startswith(TECHNIQUE) and not isinstance(sweep.training.get("technique"), dict):
            raise SweepError(f"space: {name}, but the training configuration has no technique")
    optimizers = sweep.space["optimizer"].options if "optimizer" in sweep.space else (base.get("optimizer", "auto"),)
    ignored = sorted({"lr0", "momentum"} & set(sweep.space))
    if ignored and "auto" in optimizers:
        raise SweepError(f"space: {ignored[0]}: ultralytics ignores it with optimizer auto: name an optimizer")
    if "epochs" in sweep.space or "epochs" not in base:
        raise SweepError("epochs must stand in the training configuration or under settings: alike for all trials")
    ends = [(f"space: {name} = {end}", {name: end}) for name, one in sweep.space.items() for end in one.edges()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trial.yaml"
        for what, params in [("settings", {}), *ends]:
            file.write_text(yaml.safe_dump(trial_config(sweep, "check", params)))
            try:
                read_config(file)
            except TrainError as error:
                raise SweepError(f"{what}: {str(error).replace(f'{file}: ', '')}") from error


def _base(sweep: Sweep) -> dict[str, Any]:
    """The trainer's arguments of every trial, before its own."""
    return {**sweep.training.get("settings", {}), **sweep.training["stages"][0], **sweep.settings}
