# SPDX-License-Identifier: AGPL-3.0-only
"""Readers take what teams really have: other class orders, Roboflow's paths, polygons, Supervisely projects."""

import json

import cv2
import numpy as np
import pytest
from pictures import picture, write_yolo

from cone_detector.classes import CLASS_NAMES
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.sample import class_mapping, clip_of
from offline_tools.datasets.supervisely import split_of_clip

BLUE, LARGE, ORANGE, UNKNOWN, YELLOW = range(5)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("blue_cone", BLUE),
        ("Blue Cone", BLUE),
        ("seg_blue_cone", BLUE),
        ("yellow-cone", YELLOW),
        ("large_orange_cone", LARGE),
        ("big_orange", LARGE),
        ("orange", ORANGE),
        ("unknown_cone", UNKNOWN),
        ("other_cone", UNKNOWN),
        ("person", None),
    ],
)
def test_class_names_of_others_are_understood(name, index):
    assert class_mapping([name]) == [index]


@pytest.mark.parametrize(
    ("stem", "clip"),
    [
        ("autox3_0017", "autox3"),
        ("frame-000123", "frame"),
        ("team_a_0001_jpg.rf.0a1b2c3d", "team_a"),
        ("0001", "0001"),
    ],
)
def test_frames_of_one_drive_share_a_clip(stem, clip):
    assert clip_of(stem) == clip


def test_classes_are_remapped_by_name(tmp_path):
    order = ["yellow_cone", "blue_cone", "tree"]
    root = write_yolo(tmp_path, {"train": [1]}, order, "0 .5 .5 .2 .2\n1 .2 .2 .1 .1\n2 .7 .7 .1 .1\n")
    dataset = read_dataset(root)
    (sample,) = dataset.splits["train"]
    assert sample.label.tolist() == [YELLOW, BLUE], "the tree is dropped"
    assert dataset.renamed == {"yellow_cone": "yellow_cone", "blue_cone": "blue_cone"}
    assert [fault.kind for fault in dataset.faults] == ["unknown class"]


def test_boxes_are_corners_as_fractions(tmp_path):
    (sample,) = read_dataset(write_yolo(tmp_path, {"val": [1]})).splits["val"]
    np.testing.assert_allclose(sample.xyxy, [[0.45, 0.4, 0.55, 0.6]], atol=1e-6)


def test_polygons_become_their_bounds(tmp_path):
    root = write_yolo(tmp_path, {"train": [1]}, label="4 .1 .2 .3 .2 .2 .6\n")
    (sample,) = read_dataset(root).splits["train"]
    np.testing.assert_allclose(sample.xyxy, [[0.1, 0.2, 0.3, 0.6]], atol=1e-6)


def test_roboflow_exports_point_beside_their_yaml(tmp_path):
    root = write_yolo(tmp_path / "x", {"train": [1]})
    export = tmp_path / "FSOCO-12"
    (export / "train").mkdir(parents=True)
    for folder in ("images", "labels"):
        (root / folder / "train").rename(export / "train" / folder)
    (export / "data.yaml").write_text(f"train: ../train/images\nnc: 5\nnames: {list(CLASS_NAMES)}\n")
    assert len(read_dataset(export).splits["train"]) == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("blue 0.5 0.5 0.1 0.1", "unreadable label line"),
        ("0 0.5 0.5 0.1", "unreadable label line"),
        ("0 0.5 0.5 nan 0.1", "unreadable label line"),
        ("9 0.5 0.5 0.1 0.1", "class index out of range"),
    ],
)
def test_a_bad_line_costs_a_box_and_is_reported(tmp_path, line, kind):
    dataset = read_dataset(write_yolo(tmp_path, {"train": [1]}, label=f"{line}\n0 .5 .5 .1 .1\n"))
    (sample,) = dataset.splits["train"]
    assert len(sample.label) == 1
    (fault,) = dataset.faults
    assert fault.kind == kind
    assert "line 1" in fault.detail


def test_missing_halves_are_reported(tmp_path):
    root = write_yolo(tmp_path, {"train": [1, 2]})
    (root / "labels/train/clip_0001.txt").unlink()
    (root / "images/train/clip_0002.png").unlink()
    dataset = read_dataset(root)
    assert sorted(fault.kind for fault in dataset.faults) == ["image without label file", "label file without image"]


@pytest.mark.parametrize(
    ("yaml_text", "says"),
    [
        ("train: images/train\n", "names"),
        ("names: [blue_cone]\ntrain: nowhere\n", "no folder"),
        ("names: {0: blue_cone, 2: yellow_cone}\n", "0, 1, 2"),
        ("names: [", "not YAML"),
    ],
)
def test_a_useless_yaml_is_refused(tmp_path, yaml_text, says):
    (tmp_path / "data.yaml").write_text(yaml_text)
    with pytest.raises(DatasetError, match=says):
        read_dataset(tmp_path)


def write_supervisely(root, clips):
    root.mkdir()
    (root / "meta.json").write_text("{}")
    for clip, title in clips.items():
        for folder in ("img", "ann"):
            (root / clip / folder).mkdir(parents=True)
        cv2.imwrite(str(root / clip / "img" / "a.png"), picture(1))
        box = {"classTitle": title, "points": {"exterior": [[32, 18], [64, 90]], "interior": []}}
        text = json.dumps({"size": {"width": 320, "height": 180}, "objects": [box]})
        (root / clip / "ann" / "a.png.json").write_text(text)
    return root


def test_supervisely_folders_are_clips(tmp_path):
    clips = {f"team_{number}": "seg_yellow_cone" for number in range(40)}
    dataset = read_dataset(write_supervisely(tmp_path / "fsoco", clips))
    for split, samples in dataset.splits.items():
        assert all(split_of_clip(sample.clip) == split for sample in samples)
    assert {split: len(samples) for split, samples in dataset.splits.items()}.keys() == {"train", "val", "test"}
    sample = dataset.splits["train"][0]
    assert sample.label.tolist() == [YELLOW]
    np.testing.assert_allclose(sample.xyxy, [[0.1, 0.1, 0.2, 0.5]], atol=1e-6)


def test_a_broken_annotation_is_reported(tmp_path):
    root = write_supervisely(tmp_path / "fsoco", {"team_1": "blue_cone", "team_2": "blue_cone"})
    (root / "team_1/ann/a.png.json").write_text('{"size": {}}')
    assert [fault.kind for fault in read_dataset(root).faults] == ["unreadable annotation"]
