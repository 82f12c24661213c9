# SPDX-License-Identifier: AGPL-3.0-only
"""The split guard: the one door through which data is read.

The test split is known by what its images show, not by where they lie: its fingerprints are kept in a registry, and
whoever opens samples for any other purpose than the final evaluation has each image compared with it. A test image
that was renamed, copied, scaled, padded, mirrored or encoded again is found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from offline_tools.datasets.fingerprint import BITS, NEAR_BITS, Fingerprint, distance, fingerprint, look
from offline_tools.datasets.sample import Dataset, DatasetError, Sample

DEFAULT_REGISTRY = Path(__file__).resolve().parents[2] / "config" / "train" / "test_split.json"
_SHOWN = 5


class Purpose(str, Enum):
    """What data is opened for."""

    TRAIN = "training"
    VALIDATE = "validation"
    CALIBRATE = "calibration"
    TUNE = "tuning"
    FINAL_TEST = "the final evaluation"


class TestLeakError(DatasetError):
    """Images of the test split where none may be; the message lists them."""

    __test__ = False  # not a test class, whatever pytest makes of the name


class SplitGuard:
    """Knows the test split by content and lets nobody else read it."""

    def __init__(self, contents: frozenset[str], looks: NDArray[np.uint8], names: Sequence[str]) -> None:
        """contents: SHA-256 of files. looks: (N, 32) uint8, perceptual hashes, of the N images called `names`."""
        self._contents = contents
        self._looks = looks
        self._names = names

    @classmethod
    def load(cls, registry: Path = DEFAULT_REGISTRY) -> SplitGuard:
        """Reads a registry. Raises DatasetError where it is missing or malformed: no guard, no data."""
        try:
            images = json.loads(registry.read_text())["images"]
            hashes = "".join(image["look"] + image["mirrored"] for image in images)
            looks = np.frombuffer(bytes.fromhex(hashes), np.uint8).reshape(-1, BITS // 8)
            names = [image["name"] for image in images for _ in range(2)]
            return cls(frozenset(image["sha256"] for image in images), looks, names)
        except FileNotFoundError as error:
            raise DatasetError(
                f"no registry of test images at {registry}: run `cone-tools data register DATASET`"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{registry} is damaged ({error!r}): run `cone-tools data register DATASET`") from error

    def open(self, dataset: Dataset, split: str, purpose: Purpose) -> Sequence[Sample]:
        """The samples of one split, for one purpose.

        Raises TestLeakError where `split` is "test", or any image is one of the test split, and `purpose` is another
        than the final evaluation; DatasetError where the split does not exist or an image is broken.
        """
        if split not in dataset.splits:
            raise DatasetError(f"{dataset.name} has no split '{split}', only {', '.join(dataset.splits)}")
        if split == "test" and purpose is not Purpose.FINAL_TEST:
            raise TestLeakError(f"the test split of {dataset.name} was asked for {purpose.value}: use train or val")
        samples = dataset.splits[split]
        self.check((sample.image for sample in samples), purpose)
        return samples

    def check(self, images: Iterable[Path], purpose: Purpose) -> list[Fingerprint]:
        """The fingerprints of `images`. Raises TestLeakError listing those of the test split."""
        paths = list(images)
        prints = fingerprints(paths)
        if purpose is Purpose.FINAL_TEST or not len(self._looks):
            return prints
        looks = np.array([item.look for item in prints], np.uint8).reshape(-1, BITS // 8)
        near = distance(looks, self._looks)
        found = []
        for path, item, row in zip(paths, prints, near, strict=True):
            nearest = int(row.argmin())
            if item.content in self._contents:
                found.append(f"{path} (the same file as {self._names[nearest]})")
            elif row[nearest] <= NEAR_BITS:
                found.append(f"{path} (looks like {self._names[nearest]}, {row[nearest]} of {BITS} bits differ)")
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise TestLeakError(
                f"{len(found)} images of the test split were opened for {purpose.value}: "
                f"{', '.join(found[:_SHOWN])}{more}. Remove them."
            )
        return prints


def fingerprints(paths: Sequence[Path]) -> list[Fingerprint]:
    """Fingerprints of many files, in order. Raises DatasetError at the first broken image."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(fingerprint, paths))


def register(samples: Iterable[Sample], registry: Path = DEFAULT_REGISTRY) -> int:
    """Adds the images of a test split to the registry; says how many it holds now.

    An image stays registered for good: a test image does not become training data by another split.
    """
    known = {}
    if registry.exists():
        known = {image["sha256"]: image for image in json.loads(registry.read_text())["images"]}
    for sample in samples:
        item = fingerprint(sample.image)
        mirrored = look(cv2.flip(cv2.imread(str(sample.image), cv2.IMREAD_COLOR), 1))
        known[item.content] = {
            "name": sample.image.name,
            "sha256": item.content,
            "look": item.look.tobytes().hex(),
            "mirrored": mirrored.tobytes().hex(),
        }
    registry.parent.mkdir(parents=True, exist_ok=True)
    temporary = registry.with_name(registry.name + ".tmp")
    temporary.write_text(json.dumps({"images": list(known.values())}, indent=1) + "\n")
    os.replace(temporary, registry)
    return len(known)
