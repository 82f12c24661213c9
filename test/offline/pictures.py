# SPDX-License-Identifier: AGPL-3.0-only
"""Small datasets of drawn pictures, each picture unlike the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES


def picture(seed: int, size: tuple[int, int] = (320, 180)) -> NDArray[np.uint8]:
    """A scene of soft blobs and hard rectangles, (H, W, 3) uint8, for a size (width, height)."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        x, y = draw.integers(0, size[0]), draw.integers(0, size[1])
        w, h = draw.integers(size[0] // 20, size[0] // 5, 2)
        colour = tuple(map(int, draw.integers(0, 256, 3)))
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return image


def write_yolo(
    root: Path,
    splits: dict[str, Sequence[int]],
    names: Sequence[str] = CLASS_NAMES,
    label: str = "0 0.5 0.5 0.1 0.2\n",
    size: tuple[int, int] = (320, 180),
) -> Path:
    """A YOLO folder at `root`, one picture and one label file for each seed of each split."""
    for split, seeds in splits.items():
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            cv2.imwrite(str(root / "images" / split / f"clip_{seed:04d}.png"), picture(seed, size))
            (root / "labels" / split / f"clip_{seed:04d}.txt").write_text(label)
    entries: dict[str, object] = {split: f"images/{split}" for split in splits}
    (root / "data.yaml").write_text(yaml.safe_dump({**entries, "names": list(names)}))
    return root
