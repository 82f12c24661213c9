# SPDX-License-Identifier: AGPL-3.0-only
"""An input is known by what it holds: pictures and labels count, where it lies does not."""

import shutil

import cv2
import pytest
from pictures import picture, write_yolo

from offline_tools.campaign import hashing
from offline_tools.campaign.hashing import external_sha256
from offline_tools.campaign.phase import External
from offline_tools.datasets.sample import DatasetError


@pytest.fixture(autouse=True)
def read_anew(monkeypatch):
    """As each process does: within one, an input is read once."""
    monkeypatch.setattr(hashing, "_external_sha256", hashing._external_sha256.__wrapped__)


@pytest.fixture
def dataset(tmp_path):
    return write_yolo(tmp_path / "data", {"train": range(3), "val": [3], "test": [4]})


def relabel(split):
    return lambda root: next((root / "labels" / split).iterdir()).write_text("1 0.5 0.5 0.2 0.2\n")


def repaint(split):
    return lambda root: cv2.imwrite(str(next((root / "images" / split).iterdir())), picture(99))


@pytest.mark.parametrize(
    ("split", "change", "differs"),
    [
        ("train", relabel("train"), True),
        ("train", repaint("train"), True),
        ("train", relabel("val"), False),
        ("", relabel("val"), True),
        ("", repaint("test"), False),
        ("test", repaint("test"), True),
    ],
    ids=["label", "picture", "other split", "a source's val", "a source's test", "test"],
)
def test_pictures_and_labels_of_the_split_count(dataset, split, change, differs):
    before = external_sha256(External(dataset, "split", split))
    change(dataset)
    assert (external_sha256(External(dataset, "split", split)) != before) == differs


def test_a_source_without_val_is_a_source(dataset):
    shutil.rmtree(dataset / "images/val")
    assert external_sha256(External(dataset, "split"))
    with pytest.raises(DatasetError, match="no split 'val', only train, test"):
        external_sha256(External(dataset, "split", "val"))


def test_what_the_trainer_leaves_in_prepared_data_does_not_count(tmp_path):
    folder = tmp_path / "prepared"
    for name in ("train.txt", "train/images/a.jpg", "train/labels/a.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    before = external_sha256(External(folder, "prepared"))
    (folder / "train/labels.cache").write_text("x")
    moved = folder.rename(tmp_path / "moved")
    assert external_sha256(External(moved, "prepared")) == before
    (moved / "train/labels/a.txt").write_text("another label")
    assert external_sha256(External(moved, "prepared")) != before


def test_nothing_there_has_no_hash(tmp_path):
    assert external_sha256(External(tmp_path / "nowhere", "split", "train")) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no prepared data"):
        external_sha256(External(tmp_path / "empty", "prepared"))
