# SPDX-License-Identifier: AGPL-3.0-only
"""Labelled frames: readers, checks, and the guard that keeps the test split apart."""

from __future__ import annotations

from pathlib import Path

from offline_tools.datasets.sample import Dataset, DatasetError
from offline_tools.datasets.supervisely import read_supervisely
from offline_tools.datasets.yolo import read_yolo

__all__ = ["Dataset", "DatasetError", "read_dataset"]


def read_dataset(path: Path) -> Dataset:
    """Reads a dataset of any known format: a Supervisely project, a YOLO folder or a data.yaml.

    Raises DatasetError where it is none of them.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist")
    if path.is_dir() and (path / "meta.json").is_file():
        return read_supervisely(path)
    return read_yolo(path)
