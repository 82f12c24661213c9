# SPDX-License-Identifier: AGPL-3.0-only
"""What an input is, by content: the same on every machine, wherever it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from cone_detector.engine.manifest import file_sha256
from offline_tools.campaign.phase import External
from offline_tools.datasets import read_dataset
from offline_tools.datasets.sample import DatasetError, Sample

# Beside images and labels a prepared folder soon holds the trainer's own cache files.
PREPARED = ("*.txt", "*/images/*", "*/labels/*")
# What a training may see of a dataset.
_LEARNT = ("train", "val")


def json_sha256(value: Any) -> str:
    """The hash of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def external_sha256(external: External) -> str | None:
    """The hash of an input from outside; None where nothing is there. Raises DatasetError where it is unreadable."""
    if not external.path.exists():
        return None
    return _external_sha256(external)


@cache
def _external_sha256(external: External) -> str:
    if external.kind == "file":
        return file_sha256(external.path)
    if external.kind == "prepared":
        return tree_sha256(external.path, PREPARED)
    dataset = read_dataset(external.path)
    if not external.split:
        return json_sha256({name: _split_sha256(dataset.splits[name]) for name in _LEARNT if name in dataset.splits})
    if external.split not in dataset.splits:
        raise DatasetError(f"{external.path} has no split '{external.split}', only {', '.join(dataset.splits)}")
    return _split_sha256(dataset.splits[external.split])


def _split_sha256(samples: Sequence[Sample]) -> str:
    images = _hashes(sample.image for sample in samples)
    labels = [hashlib.sha256(sample.label.tobytes() + sample.xyxy.tobytes()).hexdigest() for sample in samples]
    return json_sha256(sorted(zip(images, labels, strict=True)))


def tree_sha256(folder: Path, patterns: Iterable[str]) -> str:
    """The hash of the files below `folder` that fit a pattern: names and contents. Raises DatasetError without any."""
    files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if not files:
        raise DatasetError(f"{folder} holds no prepared data: run `cone-tools data prepare`")
    names = [path.relative_to(folder).as_posix() for path in files]
    return json_sha256(list(zip(names, _hashes(files), strict=True)))


def _hashes(paths: Iterable[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(file_sha256, paths))
