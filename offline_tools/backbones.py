# SPDX-License-Identifier: AGPL-3.0-only
"""RegNet backbones under YOLO11's neck and head.

RegNetY-400MF and the design space (w_j = w_0 + w_a j, quantized to w_0 w_m^k and to multiples of 8) are those of arXiv
2003.13678 as torchvision has them; timm's RegNetY-400MF is another way to the first. Checkpoints hold ultralytics'
and torchvision's (or timm's) classes alone, so `YOLO(path)` reads them without this module. To rebuild such a network
from its YAML, as training does, its backbone must be registered with torchvision: `register`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torchvision.models._api import BUILTIN_MODELS, register_model
from torchvision.models.regnet import BlockParams, RegNet
from ultralytics.nn.tasks import yaml_model_load
from ultralytics.utils import LOGGER

from offline_tools import networks
from offline_tools.technique import Backbone, TechniqueError, describe, read_technique

# Key of a model's `yaml` that holds the settings.
_KEY = "regnet"

# Layers of YOLO11's own backbone, and which of them the neck reads: P4 and P3; P5 through SPPF and C2PSA.
_YOLO11_LAYERS = 11
_TAPS = {4: 1, 6: 2, 10: 5}

_DOWNLOAD_SECONDS = 20


def write_start(technique: Backbone, model: str, path: Path, seed: int) -> dict[str, Any]:
    """Writes the weights that training starts from; returns whether ImageNet's are among them, and the widths."""
    detector = networks.build(detector_yaml(technique, model), seed)
    imagenet = False
    if technique.name == "regnet_y_400mf" and technique.pretrained:
        imagenet = _load_imagenet(technique, detector.model[0].m)
    networks.save(detector, path)
    notes: dict[str, Any] = {"imagenet_weights": imagenet, **networks.size(detector)}
    if technique.name == "regnet":
        blocks = stages(technique)
        notes.update(widths=blocks.widths, depths=blocks.depths, groups=blocks.group_widths)
    return notes


def detector_yaml(technique: Backbone, model: str) -> dict[str, Any]:
    """The model dictionary of YOLO11's neck and head, as in `model` (yolo11n.yaml), on the RegNet. Registers it."""
    if not Path(model).name.startswith("yolo11") or not model.endswith(".yaml"):
        raise TechniqueError(f"a RegNet stands under YOLO11's neck: model is '{model}', use yolo11n.yaml or larger")
    values: dict[str, Any] = deepcopy(yaml_model_load(model))
    values[_KEY] = describe(technique)
    name = register(values)
    channels, first = _channels(technique)
    # TorchVision's arguments: channels, name, weights, unwrap, truncate, split (give all stages, not the last alone).
    unwrap = technique.library == "torchvision"
    values["backbone"] = [
        [-1, 1, "TorchVision", [channels[2], name, None, unwrap, 0, unwrap]],
        *([0, 1, "Index", [width, first + level]] for level, width in enumerate(channels)),
        *values["backbone"][9:_YOLO11_LAYERS],
    ]
    shift = len(values["backbone"]) - _YOLO11_LAYERS
    values["head"] = [[_moved(sources, shift), *rest] for sources, *rest in values["head"]]
    return values


def register(values: dict[str, Any]) -> str:
    """Makes the RegNet of a model dictionary known to torchvision, whose name for it is returned; "" without one."""
    if _KEY not in values:
        return ""
    technique = read_technique(values[_KEY])
    assert isinstance(technique, Backbone)
    parts = [technique.library, technique.name]
    if technique.name == "regnet":
        parts += [str(part) for part in (technique.depth, technique.w_0, technique.w_a, technique.w_m, technique.group)]
    # Ultralytics takes an argument that is no Python name for a number.
    name = "_".join(["cone", *parts]).replace(".", "p")
    if name not in BUILTIN_MODELS:
        register_model(name)(_builder(technique))
    return name


def stages(technique: Backbone) -> BlockParams:
    """Widths, depths and groups of the four stages of a `regnet`. Raises TechniqueError where it has another number."""
    found = BlockParams.from_init_params(
        technique.depth, technique.w_0, technique.w_a, technique.w_m, technique.group, bottleneck_multiplier=1.0
    )
    if len(found.widths) != 4:
        raise TechniqueError(
            f"depth {technique.depth}, w_0 {technique.w_0}, w_a {technique.w_a}, w_m {technique.w_m} give "
            f"{len(found.widths)} stages {found.widths}, must be 4: change w_a or w_m"
        )
    return found


def _moved(sources: int | list[int], shift: int) -> int | list[int]:
    if isinstance(sources, list):
        return [_moved(source, shift) for source in sources]  # type: ignore[misc]
    if sources < 0:
        return sources
    return _TAPS[sources] if sources < _YOLO11_LAYERS else sources + shift


def _builder(technique: Backbone) -> Callable[..., nn.Module]:
    def build(**_: Any) -> nn.Module:
        if technique.library == "timm":
            return _timm(pretrained=False)
        if technique.name == "regnet_y_400mf":
            return _layers(torchvision.models.regnet_y_400mf())
        return _layers(RegNet(stages(technique)))

    return build


def _layers(network: RegNet) -> nn.Sequential:
    """Convolution, norm and activation of the stem, then the four stages."""
    return nn.Sequential(*network.stem.children(), *network.trunk_output.children())


def _timm(pretrained: bool) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise TechniqueError("library timm is not installed: pip install timm, or use torchvision") from error
    return timm.create_model("regnety_004", pretrained=pretrained, features_only=True, out_indices=(2, 3, 4))


def _channels(technique: Backbone) -> tuple[list[int], int]:
    """Channels at strides 8, 16 and 32, and the place of the first of them in what the TorchVision layer returns."""
    if technique.library == "timm":
        return list(_timm(pretrained=False).feature_info.channels()), 0
    widths = [104, 208, 440] if technique.name == "regnet_y_400mf" else stages(technique).widths[1:]
    # Its list is the image, the stem's three layers, then the stages at strides 4, 8, 16, 32.
    return widths, 5


def _load_imagenet(technique: Backbone, target: nn.Module) -> bool:
    """Loads ImageNet's weights where they are cached or can be downloaded; says whether, and why not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        if technique.library == "timm":
            source: nn.Module = _timm(pretrained=True)
        else:
            source = _layers(torchvision.models.regnet_y_400mf(weights="DEFAULT"))
    except (OSError, RuntimeError) as error:
        LOGGER.warning(f"ImageNet weights of {technique.name} cannot be had ({error}): starting from random weights")
        return False
    finally:
        socket.setdefaulttimeout(before)
    target.load_state_dict(source.state_dict(), strict=False)
    LOGGER.info(f"{technique.name} starts from {technique.library}'s ImageNet weights")
    return True
