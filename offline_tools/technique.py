# SPDX-License-Identifier: AGPL-3.0-only
"""The `technique` of a training configuration: what is done to a model beside training it on labels.

Each kind has a file of its own: distill, backbones, prune. Each prepares the weights that the first stage starts from;
settings that a later process needs (another GPU's, a resumed run's) travel in the model's own `yaml`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cone_detector.engine.manifest import file_sha256


class TechniqueError(ValueError):
    """A technique that cannot be carried out; the message names the key, its value and the fix."""


@dataclass(frozen=True)
class Distill:
    """A student taught by labels and by a trained teacher.

    total = task x task loss + logits x KL of class logits + features x error of neck features.
    teacher: weights with the same classes. temperature: flattens both networks' class probabilities.
    """

    kind: ClassVar[str] = "distill"
    teacher: str
    task: float = 0.5
    logits: float = 0.25
    features: float = 0.25
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if self.task <= 0:
            raise TechniqueError(f"task is {self.task}, must be above 0: without labels no box is learned")
        if min(self.logits, self.features) < 0:
            raise TechniqueError(f"logits is {self.logits} and features {self.features}; neither may be negative")
        if self.temperature <= 0:
            raise TechniqueError(f"temperature is {self.temperature}, must be above 0; 2 to 6 is usual")


@dataclass(frozen=True)
class Backbone:
    """A RegNet under the neck and head of the model that the configuration names.

    name: regnet_y_400mf, as torchvision or timm (`library`) has it, with ImageNet weights where they can be had; or
    regnet, a network of the design space of arXiv 2003.13678: `depth` blocks whose widths follow w_0 + w_a j, quantized
    to powers of w_m and to multiples of 8, in groups of `group` channels, bottleneck ratio 1.
    """

    kind: ClassVar[str] = "backbone"
    name: str
    library: str = "torchvision"
    pretrained: bool = True
    depth: int = 13
    w_0: int = 24
    w_a: float = 24.0
    w_m: float = 2.5
    group: int = 8

    def __post_init__(self) -> None:
        if self.name not in ("regnet_y_400mf", "regnet"):
            raise TechniqueError(
                f"name is '{self.name}': use regnet_y_400mf, or regnet with depth, w_0, w_a, w_m, group"
            )
        if self.library not in ("torchvision", "timm"):
            raise TechniqueError(f"library is '{self.library}': use torchvision or timm")
        if self.w_0 < 8 or self.w_0 % 8:
            raise TechniqueError(f"w_0 is {self.w_0}, must be a positive multiple of 8")
        if self.depth < 4 or self.w_a <= 0 or self.w_m <= 1 or self.group < 1:
            raise TechniqueError(
                f"depth {self.depth}, w_a {self.w_a}, w_m {self.w_m}, group {self.group}: "
                "need at least 4 blocks, w_a above 0, w_m above 1 and a group of at least 1"
            )


@dataclass(frozen=True)
class Prune:
    """Trained weights with `ratio` of each layer's channels cut, then fine-tuned by the stages.

    round_to: channels left are a multiple of this; unaligned ones can be slower than those cut.
    """

    kind: ClassVar[str] = "prune"
    weights: str
    ratio: float = 0.4
    round_to: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 0.9:
            raise TechniqueError(f"ratio is {self.ratio}, must be above 0 and below 0.9; 0.4 to 0.5 is usual")
        if self.round_to < 1:
            raise TechniqueError(f"round_to is {self.round_to}, must be at least 1; 8 suits INT8 and FP16 kernels")


Technique = Distill | Backbone | Prune
_DESIGN_SPACE = ("depth", "w_0", "w_a", "w_m", "group")
_KINDS: Mapping[str, type[Technique]] = {kind.kind: kind for kind in (Distill, Backbone, Prune)}


def read_technique(values: object) -> Technique:
    """The technique that a configuration's mapping describes. Raises TechniqueError."""
    if not isinstance(values, dict):
        raise TechniqueError(f"technique is {values!r}, must be a mapping with `kind`")
    rest = dict(values)
    chosen = _KINDS.get(str(rest.pop("kind", "")))
    if chosen is None:
        raise TechniqueError(f"kind is '{values.get('kind')}': use one of {', '.join(_KINDS)}")
    fields = {field.name: field for field in dataclasses.fields(chosen)}
    unknown = sorted(set(rest) - set(fields))
    missing = sorted(
        name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in rest
    )
    if unknown or missing:
        raise TechniqueError(f"{chosen.kind}: unknown keys {unknown}, missing keys {missing}")
    types: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
    for name, value in rest.items():
        wanted = str(fields[name].type)
        if not isinstance(value, types[wanted]) or (isinstance(value, bool) and wanted != "bool"):
            raise TechniqueError(f"{chosen.kind}: {name} is {value!r}, must be of type {wanted}")
    return chosen(**rest)


def describe(technique: Technique) -> dict[str, Any]:
    """The mapping that `read_technique` reads back, without what a backbone of that name does not use."""
    values = dataclasses.asdict(technique)
    if isinstance(technique, Backbone):
        idle = _DESIGN_SPACE if technique.name != "regnet" else ("library", "pretrained")
        values = {key: value for key, value in values.items() if key not in idle}
    return {"kind": technique.kind, **values}


def make_start(technique: Technique, model: str, path: Path, seed: int, reuse: bool = False) -> dict[str, Any]:
    """Writes the weights that training with `technique` starts from to `path`, and a record beside it; returns that.

    model: the YAML or .pt that the configuration names. reuse: keep a file that a killed run left, if it is whole.
    Raises TechniqueError.
    """
    record_path = path.with_suffix(".json")
    wanted = {"technique": describe(technique), "model": model, "seed": seed}
    if reuse and path.exists() and record_path.exists():
        record = json.loads(record_path.read_text())
        if {key: record.get(key) for key in wanted} == wanted and record.get("sha256") == file_sha256(path):
            return record
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(technique, Distill):
        from offline_tools.distill import write_start as write_distilled

        notes = write_distilled(technique, model, path, seed)
    elif isinstance(technique, Backbone):
        from offline_tools.backbones import write_start as write_backbone

        notes = write_backbone(technique, model, path, seed)
    else:
        from offline_tools.prune import write_start as write_pruned

        notes = write_pruned(technique, path)
    record = {**wanted, **notes, "sha256": file_sha256(path)}
    record_path.write_text(json.dumps(record, indent=1) + "\n")
    return record
