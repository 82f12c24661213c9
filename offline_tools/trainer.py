# SPDX-License-Identifier: AGPL-3.0-only
"""Ultralytics' trainer with frames made to vary as cameras do. Importable by name, as its multi-GPU mode needs."""

from __future__ import annotations

import math
import random
from copy import copy
from typing import Any

import cv2
import numpy as np
from ultralytics.data.augment import Mosaic, RandomPerspective
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import colorstr

from offline_tools import backbones, split_blocks
from offline_tools.augment import camera_effects

# Frames of one shared source were stretched to squares from cameras of more than one aspect.
_ASPECT_SIGMA = 0.12

# Height of the canvas of a 16:9 camera, 640x384, over its width.
_CANVAS_HEIGHT = 0.6


class CameraEffects:
    """`augment.camera_effects` as one of ultralytics' transforms."""

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        # Python's own generator is the one that ultralytics seeds in each worker.
        draw = np.random.default_rng(random.getrandbits(32))
        labels["img"] = camera_effects(np.ascontiguousarray(labels["img"]), draw)
        return labels


class ConeDataset(YOLODataset):
    """Training frames: aspect varied as each is loaded, camera effects after mosaic and scaling."""

    def load_image(self, i: int, *args: Any, **kwargs: Any) -> tuple[Any, tuple[int, int], tuple[int, int]]:
        image, original, _ = super().load_image(i, *args, **kwargs)
        height, width = image.shape[:2]
        # Boxes are fractions of the image until later, so a stretched image needs no new boxes.
        ratio = math.exp(min(max(random.gauss(0, _ASPECT_SIGMA), -0.3), 0.3))
        limit = self.imgsz
        height = min(max(int(height * ratio), 32), limit)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return image, original, (height, width)

    def build_transforms(self, hyp: Any = None) -> Any:
        transforms = super().build_transforms(hyp)
        # Wide frames leave half of a square mosaic grey: cut the car's canvas out of its middle instead, and keep
        # the meeting point of the four frames close enough to the middle for them to fill it.
        before = transforms.transforms[0].transforms
        for transform in before:
            if isinstance(transform, RandomPerspective):
                transform.size = (self.imgsz, round(self.imgsz * _CANVAS_HEIGHT))
            elif isinstance(transform, Mosaic):
                transform.border = (-round(0.75 * self.imgsz), -self.imgsz // 2)
        transforms.insert(len(transforms.transforms) - 1, CameraEffects())
        return transforms


class ConeTrainer(DetectionTrainer):
    """DetectionTrainer on ConeDataset; validation frames stay as they are.

    Takes networks that no YAML of ultralytics describes: those with a RegNet backbone, and pruned ones.
    """

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """The network to train: rebuilt from `cfg`, with `weights` where they are given."""
        if weights is not None and split_blocks.is_pruned(weights):
            # Its channels are in the weights alone.
            return weights.requires_grad_(True)
        if isinstance(cfg, dict):
            backbones.register(cfg)
        return super().get_model(cfg, weights, verbose)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        if mode != "train":
            return super().build_dataset(img_path, mode, batch)
        return ConeDataset(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=True,
            hyp=copy(self.args),
            rect=False,
            cache=self.args.cache or None,
            stride=32,
            pad=0.0,
            prefix=colorstr("train: "),
            task=self.args.task,
            data=self.data,
            fraction=1.0,
        )
