# SPDX-License-Identifier: AGPL-3.0-only
"""Knowledge distillation on ultralytics' own trainer and DistillationModel.

total = task x task loss + logits x T^2 KL of class logits + features x error of neck features.

YOLO's classes are independent sigmoids, and "no cone here" is that all of them are low, which a softmax over classes
cannot see. So the divergence is that of Bernoulli distributions, one a class, softened by the temperature as in arXiv
1503.02531. Both terms are means over anchors weighted by the teacher's best class score, as ultralytics weights its own
feature loss: nearly all anchors are background, and would drown the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from ultralytics.nn.distill_model import DistillationModel

from cone_detector.engine.manifest import file_sha256
from offline_tools import networks
from offline_tools.technique import Distill, TechniqueError, describe, read_technique
from offline_tools.trainer import ConeTrainer

# Key of a student's `yaml` that holds the settings: it travels with the model to each GPU and into checkpoints.
_KEY = "distill"

# Keeps a batch without cones, or a teacher that answers always the same, from dividing by nothing.
_LEAST = 1e-6


def write_start(technique: Distill, model: str, path: Path, seed: int) -> dict[str, Any]:
    """Writes the student's first weights, from a YAML or a .pt; returns notes for the record."""
    teacher = networks.load(technique.teacher, "teacher")
    student = networks.load(model, "student") if model.endswith(".pt") else networks.build(model, seed)
    if len(teacher.model[-1].f) != len(student.model[-1].f):
        raise TechniqueError(f"teacher {technique.teacher} and student {model} differ in feature levels")
    student.yaml[_KEY] = describe(technique)
    networks.save(student, path)
    return {"teacher": {"sha256": file_sha256(Path(technique.teacher)), **networks.size(teacher)}}


def logit_divergence(student: Tensor, teacher: Tensor, temperature: float, weight: Tensor) -> Tensor:
    """T^2 KL(teacher || student) of class logits (B, classes, anchors), summed over classes.

    weight: of each anchor, (B, anchors). The mean over anchors by weight; gradients keep their size as T grows.
    """
    target = (teacher / temperature).sigmoid()
    cross = functional.binary_cross_entropy_with_logits(student / temperature, target, reduction="none")
    entropy = functional.binary_cross_entropy_with_logits(teacher / temperature, target, reduction="none")
    return temperature**2 * _mean((cross - entropy).sum(dim=1), weight)


def feature_error(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of features (B, C, H, W) over the variance of the teacher's: 1 where nothing is explained.

    The raw error's size depends on the teacher's last batch norms, so that no share of it would serve two teachers.
    weight: of each anchor, (B, H * W).
    """
    target = teacher.flatten(2)
    error = (student.flatten(2) - target).square().mean(dim=1)
    centre = (target * weight[:, None]).sum(dim=(0, 2), keepdim=True) / weight.sum().clamp(min=_LEAST)
    spread = (target - centre).square().mean(dim=1)
    return _mean(error, weight) / _mean(spread, weight).clamp(min=_LEAST)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=_LEAST)


class ConeDistillation(DistillationModel):
    """Ultralytics' pair of a frozen teacher and a student, with learned projections, under this project's loss."""

    def __init__(self, teacher_model: Any, student_model: Any) -> None:
        super().__init__(teacher_model, student_model)
        settings = read_technique(student_model.yaml[_KEY])
        assert isinstance(settings, Distill)
        self.settings = settings

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The parts of the total, times the batch size, and what is logged of each: task losses, KL, feature error.

        Logged parts are those before weighting. Outside training the teacher is silent: its parts are 0.
        """
        nothing = torch.zeros((), device=batch["img"].device)
        if not self.training:
            preds = self.student_model(batch["img"]) if preds is None else preds
            task, items = self.student_model.loss(batch, preds)
            return torch.cat((task, nothing.expand(2))), {**items, "kl_loss": nothing, "feature_loss": nothing}

        settings = self.settings
        self._teacher_feats.clear()
        self._student_feats.clear()
        with torch.no_grad():
            self.teacher_model(batch["img"])
        task, items = self.student_model.loss(batch, self.student_model(batch["img"]))
        head = len(self.feats_idx) - 1
        # In half precision the sums over thousands of anchors overflow.
        ours = self.decouple_outputs(self._student_feats[head], "one2many")["scores"].float()
        theirs = self.decouple_outputs(self._teacher_feats[head], "one2many")["scores"].float()
        weight = theirs.sigmoid().amax(dim=1)
        divergence = logit_divergence(ours, theirs, settings.temperature, weight)

        feature_loss = nothing
        shares = weight.split([self._teacher_feats[level][0, 0].numel() for level in range(head)], dim=1)
        for level, share in enumerate(shares):
            projected = self.projector[level](self._student_feats[level]).float()
            feature_loss = feature_loss + feature_error(projected, self._teacher_feats[level].float(), share)

        taught = torch.stack((settings.logits * divergence, settings.features * feature_loss))
        total = torch.cat((settings.task * task, taught * batch["img"].shape[0]))
        return total, {**items, "kl_loss": divergence.detach(), "feature_loss": feature_loss.detach()}


class DistillTrainer(ConeTrainer):
    """ConeTrainer of a ConeDistillation; `distill_model` names the teacher. Only the student's weights are kept."""

    model: Any

    def setup_model(self) -> dict[str, Any] | None:
        """Wraps the student, new or from the checkpoint of a killed run, whose projections are kept."""
        checkpoint = super().setup_model()
        found = self.model
        resumed = isinstance(found, DistillationModel)
        student = found.student_model if resumed else found
        student.args = self.args
        self.model = ConeDistillation(found.teacher_model if resumed else self.args.distill_model, student)
        if resumed:
            self.model.projector.load_state_dict(found.projector.state_dict())
        return checkpoint

    def set_model_attributes(self) -> None:
        """Classes and arguments for the pair and for the student, which alone is saved."""
        super().set_model_attributes()
        for name in ("nc", "names", "args"):
            setattr(self.model.student_model, name, getattr(self.model, name))
