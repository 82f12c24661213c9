# SPDX-License-Identifier: AGPL-3.0-only
"""CSP blocks whose first convolution is two, so that the halves of its output can be pruned apart.

C2f, C3k2 and C2PSA compute one 1x1 convolution and cut its output in two equal halves. A pruner can neither follow that
cut nor leave halves of different widths. Pruned checkpoints hold these classes: reading one needs this module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.block import C2PSA, C2f, C2fPSA
from ultralytics.nn.modules.conv import Conv

# Key of a model's `yaml` that marks a pruned network: the YAML's widths are no longer its own.
PRUNED = "pruned"


class SplitC2f(nn.Module):
    """C2f or C3k2 with `cv0` and `cv1` for the halves that skip and that enter the blocks `m`."""

    def __init__(self, block: C2f) -> None:
        super().__init__()
        self.cv0, self.cv1 = halves(block.cv1)
        self.cv2, self.m = block.cv2, block.m

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) as the block made them."""
        parts = [self.cv0(x), self.cv1(x)]
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SplitC2PSA(nn.Module):
    """C2PSA with `cv0` and `cv1` for the halves that skip and that enter the attention blocks `m`."""

    def __init__(self, block: C2PSA) -> None:
        super().__init__()
        self.cv0, self.cv1 = halves(block.cv1)
        self.cv2, self.m = block.cv2, block.m

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) as the block made them."""
        return self.cv2(torch.cat((self.cv0(x), self.m(self.cv1(x))), 1))


def halves(whole: Conv) -> tuple[Conv, Conv]:
    """Two convolutions that give the first and the second half of the channels of `whole`."""
    convolution, norm = whole.conv, whole.bn
    width = convolution.out_channels // 2
    parts = []
    for rows in (slice(0, width), slice(width, None)):
        part = Conv(convolution.in_channels, width, k=1, act=whole.act)
        part.conv.weight = nn.Parameter(convolution.weight[rows].detach().clone())
        part.bn.eps, part.bn.momentum = norm.eps, norm.momentum
        part.bn.load_state_dict({key: value[rows] if value.ndim else value for key, value in norm.state_dict().items()})
        parts.append(part.train(whole.training))
    return parts[0], parts[1]


def split(model: nn.Module) -> None:
    """Replaces every C2f, C3k2 and C2PSA within `model`; what the model computes does not change."""
    for name, child in list(model.named_children()):
        split(child)
        if isinstance(child, C2f) and not isinstance(child, C2fPSA):
            setattr(model, name, _placed(SplitC2f(child), child))
        elif isinstance(child, C2PSA):
            setattr(model, name, _placed(SplitC2PSA(child), child))


def _placed(new: nn.Module, old: nn.Module) -> nn.Module:
    # Where ultralytics' models hold a layer's place in the graph.
    for name in ("i", "f", "np", "type"):
        if hasattr(old, name):
            setattr(new, name, getattr(old, name))
    return new.train(old.training)


def is_pruned(model: nn.Module) -> bool:
    """Whether `model` has been pruned, so that its YAML cannot rebuild it."""
    return PRUNED in getattr(model, "yaml", {})
