# SPDX-License-Identifier: AGPL-3.0-only
"""Structured channel pruning by batch-norm gamma, dependency-aware through torch-pruning.

A channel's importance is the size of the gammas that scale it (arXiv 1708.06519), summed up over all layers that must
lose it together (arXiv 2301.12900). Each layer loses the same share: gammas of a network trained without a sparsity
penalty do not compare across layers. Attention, box bins and the head's outputs keep their widths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.block import DFL, AAttn, Attention
from ultralytics.nn.modules.head import Detect
from ultralytics.nn.tasks import DetectionModel

from cone_detector.engine.manifest import file_sha256
from offline_tools import networks
from offline_tools.split_blocks import PRUNED, split
from offline_tools.technique import Prune, TechniqueError, describe

_TRACED_SIDE = 256


def write_start(technique: Prune, path: Path) -> dict[str, Any]:
    """Writes the pruned weights that fine-tuning starts from; returns the sizes before and after for the record."""
    model = networks.load(technique.weights, "trained weights to prune")
    before = networks.size(model)
    prune(model, technique)
    networks.save(model, path)
    return {"weights_sha256": file_sha256(Path(technique.weights)), "before": before, "after": networks.size(model)}


def prune(model: DetectionModel, technique: Prune) -> None:
    """Cuts `technique.ratio` of the channels of `model` in place. Raises TechniqueError where it cannot be cut."""
    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        raise TechniqueError("pruning needs torch-pruning: pip install -r config/requirements/offline.txt") from error
    head = model.model[-1]
    if not isinstance(head, Detect):
        raise TechniqueError(f"{technique.weights} has no detection head")
    split(model.model)
    model.eval()
    frame = torch.zeros(1, 3, _TRACED_SIDE, _TRACED_SIDE)
    shapes = [tuple(part.shape) for part in model(frame)[0]]
    pruner = torch_pruning.pruner.BasePruner(
        model,
        frame,
        importance=torch_pruning.importance.BNScaleImportance(),
        pruning_ratio=technique.ratio,
        ignored_layers=_kept(model),
        round_to=technique.round_to,
    )
    pruner.step()
    if [tuple(part.shape) for part in model(frame)[0]] != shapes:
        raise TechniqueError(f"{technique.weights}: pruning changed the shape of the detections")
    # Anchors cached while tracing would be written into the checkpoint.
    head.shape = None
    model.yaml[PRUNED] = describe(technique)


def _kept(model: DetectionModel) -> list[nn.Module]:
    kept: list[nn.Module] = [module for module in model.modules() if isinstance(module, DFL | Attention | AAttn)]
    head = model.model[-1]
    for name in ("cv2", "cv3", "one2one_cv2", "one2one_cv3"):
        kept += [branch[-1] for branch in getattr(head, name, None) or ()]
    return kept
