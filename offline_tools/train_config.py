# SPDX-License-Identifier: AGPL-3.0-only
"""Training configurations: read, and refused where they would harm cones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from offline_tools.datasets.prepare import Source
from offline_tools.technique import Technique, TechniqueError, read_technique

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
    technique: Technique | None = None


def read_config(path: Path) -> TrainConfig:
    """Reads a training configuration; source paths are relative to the working directory. Raises TrainError."""
    values = _read(path)
    unknown = sorted(set(values) - {"name", "model", "sources", "stages", "wandb", "settings", "technique"})
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
    try:
        technique = read_technique(values["technique"]) if "technique" in values else None
    except TechniqueError as error:
        raise TrainError(f"{path}: technique: {error}") from error
    config = TrainConfig(
        str(values["name"]),
        str(values["model"]),
        sources,
        stages,
        values.get("wandb", "disabled"),
        values.get("settings", {}),
        technique,
    )
    for stage in stages:
        check_augmentation({**config.settings, **stage.settings}, str(path))
    return config


def _read(path: Path) -> dict[str, Any]:
    """The file's mapping, on top of that of its `base`, a file beside it; `settings` are joined, the rest replaced."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise TrainError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise TrainError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise TrainError(f"{path} must map keys to values")
    name = values.pop("base", None)
    if name is None:
        return values
    base = _read(path.parent / str(name))
    return {**base, **values, "settings": {**base.get("settings", {}), **values.get("settings", {})}}


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


def check_augmentation(settings: Mapping[str, Any], where: str) -> None:
    """Raises TrainError for augmentation that makes other cones of cones. where: names the settings in the message."""
    if settings.get("flipud", 0) > 0:
        raise TrainError(f"{where}: flipud is {settings['flipud']}, must be 0: no cone stands on its tip")
    if settings.get("hsv_h", 0) > _LARGEST_HUE_JITTER:
        raise TrainError(
            f"{where}: hsv_h is {settings['hsv_h']}, must be at most {_LARGEST_HUE_JITTER}: "
            "more turns a yellow cone into an orange one"
        )
    if settings.get("bgr", 0) > 0:
        raise TrainError(f"{where}: bgr is {settings['bgr']}, must be 0: swapped channels turn blue cones orange")
