# SPDX-License-Identifier: AGPL-3.0-only
"""Detectors before training: built from a YAML or read from weights, counted, and saved as ultralytics saves them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel, yaml_model_load
from ultralytics.utils.torch_utils import get_flops

from cone_detector.classes import CLASS_NAMES
from offline_tools.technique import TechniqueError

# The side of the square that ultralytics' published GFLOPs are counted at.
_FLOPS_SIDE = 640


def build(cfg: str | dict[str, Any], seed: int) -> DetectionModel:
    """An untrained detector of the project's classes, its weights drawn from `seed`."""
    values = {**(cfg if isinstance(cfg, dict) else yaml_model_load(cfg)), "nc": len(CLASS_NAMES)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DetectionModel(values, verbose=False)
    model.names = dict(enumerate(CLASS_NAMES))
    return model


def load(weights: str | Path, role: str) -> DetectionModel:
    """The float32 detector of `weights`, with gradients. Raises TechniqueError where it is missing or of other classes.

    role: what the weights are for, for the message.
    """
    if not Path(weights).is_file():
        raise TechniqueError(f"no {role} at {weights}: train one with `cone-tools train` first")
    model = YOLO(str(weights)).model.float()
    names = tuple(model.names[index] for index in sorted(model.names))
    if names != CLASS_NAMES:
        raise TechniqueError(f"{role} {weights} knows the classes {list(names)}, must be {list(CLASS_NAMES)}")
    return model.requires_grad_(True)


def save(model: DetectionModel, path: Path) -> None:
    """Writes a checkpoint that `YOLO(path)` reads; half a file is never left under that name."""
    partial = path.with_suffix(".part")
    # Ultralytics notes on a model where it was read from, and sets both anew at the next reading.
    written = copy.copy(model)
    for name in ("pt_path", "args"):
        vars(written).pop(name, None)
    torch.save({"model": written, "train_args": {}}, partial)
    partial.replace(path)


def size(model: nn.Module) -> dict[str, Any]:
    """`params` and `gflops` (at 640x640, a multiplication and an addition counted as two) as the model is deployed.

    Batch norms are folded into convolutions and the branch that only training needs is dropped.
    """
    fused = copy.deepcopy(model).float().cpu().eval().fuse(verbose=False)
    return {
        "params": sum(parameter.numel() for parameter in fused.parameters()),
        "gflops": round(get_flops(fused, _FLOPS_SIDE), 3),
    }
