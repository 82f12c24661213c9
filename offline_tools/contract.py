# SPDX-License-Identifier: AGPL-3.0-only
"""An ultralytics detector wrapped in the car's engine contract: camera bytes in, rows of detections out.

TopK comes before decoding: the class logits alone decide which K anchors survive, and only their boxes are
decoded. The sigmoid is monotonic, so the survivors are those of ultralytics' own order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.tal import make_anchors

ROWS = 300


class ContractNetwork(nn.Module):
    """uint8 (B, H, W, 3) BGR canvases to float32 (B, ROWS, 6) rows, sorted by score.

    A row is x1, y1, x2, y2 in pixels of the canvas that came in, the best class's score in 0..1, its index.
    `halve` averages 2x2 pixels first: the network runs at half scale and its boxes are scaled back; the model's first
    convolution is changed for that where it can take the averaging in. `magnified`: how
    many times larger than on the canvas the pixels that come in are; rows are in canvas pixels all the same.

    Raises ValueError where the canvas does not fit the network's strides or holds fewer anchors than ROWS.
    """

    def __init__(self, model: DetectionModel, canvas: tuple[int, int], halve: bool, magnified: float = 1.0) -> None:
        super().__init__()
        head = model.model[-1]
        if not isinstance(head, Detect):
            raise ValueError(f"{type(head).__name__} is no detection head: train a detection model")
        self.network = model
        self.average = halve and not _halve_first_convolution(model)
        self.end_to_end = bool(head.end2end)
        self.bins = head.reg_max
        scale = 2 if halve else 1
        width, height = canvas
        stride = int(max(head.stride))
        if width % (scale * stride) or height % (scale * stride):
            raise ValueError(f"canvas {width}x{height}: both sides must be multiples of {scale * stride}")
        maps = [torch.empty(1, 1, int(height / scale / s), int(width / scale / s)) for s in head.stride.tolist()]
        centres, strides = make_anchors(maps, head.stride, 0.5)
        if len(centres) < ROWS:
            raise ValueError(f"canvas {width}x{height} has {len(centres)} anchors; the contract needs {ROWS}")
        # (anchors, 3): centre x, centre y and stride, in canvas pixels.
        self.register_buffer("anchors", torch.cat((centres * strides, strides), dim=1) * (scale / magnified))
        self.register_buffer("distances", torch.arange(self.bins, dtype=torch.float32).view(1, 1, -1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Rows (B, ROWS, 6) of the canvases `frames` (B, H, W, 3)."""
        image = frames.float().permute(0, 3, 1, 2)
        if self.average:
            image = nn.functional.avg_pool2d(image, 2)
        _, raw = self.network(image[:, [2, 1, 0]] / 255)
        raw = raw.get("one2one" if self.end_to_end else "one2many", raw)
        logits, classes = raw["scores"].max(dim=1)  # (B, anchors)
        best, index = logits.topk(ROWS, dim=1)  # (B, ROWS)
        sides = self._sides(raw["boxes"], index)  # (B, 4, ROWS)
        x, y, stride = self.anchors[index].unbind(-1)  # (B, ROWS) each
        left, top, right, bottom = (sides * stride[:, None]).unbind(1)
        label = classes.gather(1, index).float()
        return torch.stack((x - left, y - top, x + right, y + bottom, best.sigmoid(), label), dim=-1)

    def _sides(self, boxes: Tensor, index: Tensor) -> Tensor:
        """Distances from the anchor to the box's sides in strides, (B, 4, ROWS), of the anchors `index`."""
        chosen = boxes.gather(2, index[:, None].expand(-1, boxes.shape[1], -1))
        if self.bins == 1:
            return chosen
        # The expected value over the bins: distribution focal loss, arXiv 2006.04388.
        distribution = chosen.view(-1, 4, self.bins, ROWS).softmax(dim=2)
        return (distribution * self.distances).sum(dim=2)


def _halve_first_convolution(model: DetectionModel) -> bool:
    """Makes the first convolution average 2x2 pixels by itself; False where it is none that can.

    A k x k convolution of 2x2 averages is a 2k x 2k one of the pixels, with twice the stride and padding: the same
    sums, without a pass over the whole canvas in float (a quarter of the 320 network's time on a CPU).
    """
    first = getattr(model.model[0], "conv", None)
    if not isinstance(first, nn.Conv2d) or isinstance(first.padding, str) or first.dilation != (1, 1):
        return False
    weight = first.weight.detach().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) / 4
    wide = nn.Conv2d(
        first.in_channels,
        first.out_channels,
        tuple(2 * side for side in first.kernel_size),
        tuple(2 * step for step in first.stride),
        tuple(2 * rows for rows in first.padding),
        groups=first.groups,
        bias=first.bias is not None,
        padding_mode=first.padding_mode,
    )
    wide.weight = nn.Parameter(weight, requires_grad=False)
    wide.bias = first.bias
    model.model[0].conv = wide
    return True
