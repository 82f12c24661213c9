# SPDX-License-Identifier: AGPL-3.0-only
"""The configuration of a campaign; see config/campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from offline_tools.campaign.phase import CampaignError

BRANCHES = ("A", "B", "teacher")
# Of the whole canvas; offline_tools.export knows the others, and needs packages that a training machine lacks.
PASSES = ("640", "320")
RUNTIMES = ("openvino", "tensorrt")


@dataclass(frozen=True)
class Variant:
    """One network to train, once for each seed.

    branch: "A" and "B" compete; a "teacher" is measured, but never chosen.
    model, technique: as in a training configuration. "@NAME" stands for the weights of the variant NAME, of the same
    seed where it has it. stages: of the campaign's training configuration; those called 640 or 320 become engines of
    that pass.
    int8: quantize it. loader: as the campaign's, for this variant.
    """

    name: str
    branch: str
    model: str
    technique: Mapping[str, Any] | None = None
    seeds: Sequence[int] = (0,)
    epochs: int = 0
    stages: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    int8: bool = True
    loader: Mapping[str, Any] = field(default_factory=dict)

    @property
    def references(self) -> list[str]:
        """Names of the variants whose weights it needs."""
        values = [self.model, *(self.technique or {}).values()]
        return [value[1:] for value in values if isinstance(value, str) and value.startswith("@")]


@dataclass(frozen=True)
class Gate:
    """When branch A is good enough, by the best validation mAP50 of its variants.

    above: go on with A. below: pivot to B. Between, both inclusive: train and compare both.
    train_both: train and measure branch B without waiting; the gate then decides only whose engines compete.
    """

    above: float = 0.82
    below: float = 0.80
    train_both: bool = False


@dataclass(frozen=True)
class DatasetConfig:
    """Labelled frames to calibrate on (train), to select on (val) and for the final evaluation (test).

    aspect: true proportions of the camera where images were stretched. scenes: pictures a split, to render a dataset
    instead of reading one.
    """

    path: str = ""
    aspect: tuple[int, int] | None = None
    border: int = 0
    scenes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CampaignConfig:
    """A file of config/campaign. Paths are relative to the working directory.

    folder: of everything that the campaign makes. data: folder of `cone-tools data prepare`; made from the sources of
    `train` where it is left out. train: training configuration whose settings and stages all variants share.
    loader: workers, cache: settings of ultralytics that change how fast a training is, and not what it is.
    margin: engines within so much of the best validation mAP50 are called equal, and the fastest of them is chosen.
    ledger: of final evaluations; empty: none is made.
    """

    name: str
    folder: str
    dataset: DatasetConfig
    train: str
    variants: Sequence[Variant]
    data: str = ""
    epochs: int = 300
    stages: Sequence[str] = ("640",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    loader: Mapping[str, Any] = field(default_factory=dict)
    gate: Gate = Gate()
    devices: Sequence[str] = ("cpu",)
    jobs_per_device: int = 1
    cpu_jobs: int = 1
    calibration_images: int = 300
    runtimes: Sequence[str] = ("openvino",)
    latency_pairs: int = 200
    margin: float = 0.005
    ledger: str = "docs/benchmarks/test_ledger.json"


def read_campaign(path: Path) -> CampaignConfig:
    """Reads a campaign's configuration. Raises CampaignError."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CampaignError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise CampaignError(f"{path} is not YAML: {error}") from error
    try:
        config = _build(CampaignConfig, values, "")
        _check(config)
    except CampaignError as error:
        raise CampaignError(f"{path}: {error}") from error
    return config


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise CampaignError(f"{where or 'the file'} must map keys to values")
    known = {one.name: one for one in fields(kind)}
    unknown = sorted(set(values) - set(known))
    missing = sorted(
        name
        for name, one in known.items()
        if one.default is MISSING and one.default_factory is MISSING and name not in values
    )
    if unknown or missing:
        raise CampaignError(f"{where or 'top level'}: unknown keys {unknown}, missing keys {missing}")
    built = dict(values)
    if kind is CampaignConfig:
        built["dataset"] = _build(DatasetConfig, values["dataset"], "dataset")
        built["gate"] = _build(Gate, values.get("gate", {}), "gate")
        if not isinstance(values["variants"], list):
            raise CampaignError("variants must be a list")
        built["variants"] = [
            _build(Variant, entry, f"variant {number}") for number, entry in enumerate(values["variants"], 1)
        ]
        built["devices"] = [str(device) for device in values.get("devices", ("cpu",))]
    if kind is DatasetConfig and values.get("aspect"):
        built["aspect"] = (int(values["aspect"][0]), int(values["aspect"][1]))
    for name, value in built.items():
        default = known[name].default
        if isinstance(default, (int, float, str)) and not isinstance(default, bool):
            wanted = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise CampaignError(f"{where}{' ' * bool(where)}{name} is {value!r}, must be like {default!r}")
    return kind(**built)


def _check(config: CampaignConfig) -> None:
    names = [variant.name for variant in config.variants]
    for number, variant in enumerate(config.variants):
        if not variant.name.replace("-", "").replace("_", "").isalnum() or names.count(variant.name) > 1:
            raise CampaignError(f"variant name '{variant.name}': use letters, digits, - and _, each name once")
        if (stage := (variant.stages or config.stages)[-1]) not in PASSES:
            raise CampaignError(f"variant {variant.name}: the last stage is '{stage}', must be a pass: {PASSES}")
        if variant.branch not in BRANCHES:
            raise CampaignError(f"variant {variant.name}: branch is '{variant.branch}', use one of {BRANCHES}")
        if not variant.seeds or not all(isinstance(seed, int) and seed >= 0 for seed in variant.seeds):
            raise CampaignError(f"variant {variant.name}: seeds are {variant.seeds}, give whole numbers from 0")
        for other in variant.references:
            if other not in names[:number]:
                raise CampaignError(f"variant {variant.name}: @{other} is none of the variants before it")
    if not 0 <= config.gate.below <= config.gate.above <= 1:
        raise CampaignError(f"gate: below {config.gate.below} and above {config.gate.above} must rise within 0 to 1")
    if not config.devices or min(config.jobs_per_device, config.cpu_jobs) < 1:
        raise CampaignError("devices, jobs_per_device and cpu_jobs: at least one each")
    if unknown := set(config.runtimes) - set(RUNTIMES):
        raise CampaignError(f"runtimes {sorted(unknown)}: use {', '.join(RUNTIMES)}")
    if bool(config.dataset.path) == bool(config.dataset.scenes):
        raise CampaignError("dataset: give `path` or `scenes`, one of them")
    if config.dataset.scenes and not {"train", "val"} <= set(config.dataset.scenes) <= {"train", "val", "test"}:
        raise CampaignError(f"dataset: scenes are {dict(config.dataset.scenes)}; give train, val and, if wanted, test")
