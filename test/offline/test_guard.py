# SPDX-License-Identifier: AGPL-3.0-only
"""The test split is known by what it shows: no way of hiding an image lets training or calibration have it."""

import shutil

import cv2
import numpy as np
import pytest
from pictures import picture, write_yolo

from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.guard import Purpose, SplitGuard, TestLeakError, register


@pytest.fixture
def world(tmp_path):
    """A dataset whose test split is registered, and its guard."""
    root = write_yolo(tmp_path / "data", {"train": range(6), "val": range(6, 9), "test": range(9, 13)})
    dataset = read_dataset(root)
    registry = tmp_path / "registry.json"
    assert register(dataset.splits["test"], registry) == 4
    return dataset, SplitGuard.load(registry)


def recoded(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def letterboxed(image):
    return cv2.copyMakeBorder(image, 12, 12, 0, 0, cv2.BORDER_CONSTANT, value=(114, 114, 114))


DISGUISES = {
    "encoded as JPEG 20": lambda image: recoded(image, 20),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice the size": lambda image: cv2.resize(image, None, fx=2, fy=2),
    "stretched to a square": lambda image: cv2.resize(image, (320, 320)),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.1, beta=8),
    "mirrored": lambda image: cv2.flip(image, 1),
    "letterboxed": letterboxed,
    "letterboxed, then JPEG": lambda image: recoded(letterboxed(image), 60),
}


@pytest.mark.parametrize("purpose", [Purpose.TRAIN, Purpose.VALIDATE, Purpose.CALIBRATE, Purpose.TUNE])
def test_the_test_split_itself_is_refused(world, purpose):
    dataset, guard = world
    with pytest.raises(TestLeakError, match=purpose.value):
        guard.open(dataset, "test", purpose)


def test_other_splits_are_given(world):
    dataset, guard = world
    assert len(guard.open(dataset, "train", Purpose.TRAIN)) == 6
    assert len(guard.open(dataset, "val", Purpose.CALIBRATE)) == 3


def test_the_final_evaluation_may_read_it(world):
    dataset, guard = world
    assert len(guard.open(dataset, "test", Purpose.FINAL_TEST)) == 4


def test_a_renamed_copy_in_the_calibration_folder_is_caught(world):
    dataset, guard = world
    train = dataset.splits["train"][0].image.parent
    shutil.copy(dataset.splits["test"][2].image, train / "clip_9999.png")
    with pytest.raises(TestLeakError, match=r"1 images .*clip_9999\.png \(the same file as clip_0011\.png\)"):
        guard.open(read_dataset(train.parents[1]), "train", Purpose.CALIBRATE)


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES.keys())
def test_a_disguised_copy_is_caught(world, tmp_path, disguise):
    _, guard = world
    path = tmp_path / "innocent.png"
    cv2.imwrite(str(path), disguise(picture(10)))
    with pytest.raises(TestLeakError, match="looks like clip_0010"):
        guard.check([path], Purpose.TRAIN)


@pytest.mark.parametrize("seed", range(20, 60))
def test_other_pictures_pass(world, tmp_path, seed):
    _, guard = world
    path = tmp_path / "other.png"
    cv2.imwrite(str(path), picture(seed))
    assert len(guard.check([path], Purpose.TRAIN)) == 1


def test_an_image_of_one_colour_is_no_match(world, tmp_path):
    _, guard = world
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((180, 320, 3), 114, np.uint8))
    assert guard.check([path], Purpose.TRAIN)


@pytest.mark.parametrize("content", [None, "", "{}", '{"images": [{"sha256": "0"}]}'])
def test_without_a_registry_there_is_no_data(tmp_path, content):
    registry = tmp_path / "registry.json"
    if content is not None:
        registry.write_text(content)
    with pytest.raises(DatasetError, match="cone-tools data register"):
        SplitGuard.load(registry)


def test_registering_twice_keeps_each_image_once(world, tmp_path):
    dataset, _ = world
    assert register(dataset.splits["test"], tmp_path / "registry.json") == 4


def test_a_broken_image_is_named(world, tmp_path):
    _, guard = world
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"not an image")
    with pytest.raises(DatasetError, match=r"broken\.jpg is not an image"):
        guard.check([path], Purpose.TRAIN)


def test_the_shipped_registry_loads():
    assert SplitGuard.load()
