# SPDX-License-Identifier: AGPL-3.0-only
"""Missing labels are added to the training split alone, never on a label that is there, and never from a test image."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from networks import on_canvas, oracle
from pictures import write_yolo

from cone_detector.engine.manifest import read_manifest, write_manifest
from offline_tools.cli import main
from offline_tools.datasets import read_dataset
from offline_tools.datasets.complete import complete
from offline_tools.datasets.guard import SplitGuard, TestLeakError, register
from offline_tools.datasets.prepare import Source

NOBODY = SplitGuard(frozenset(), np.empty((0, 32), np.uint8), [])
# A blue cone, as fractions of the image: centre x, centre y, width, height.
LABEL = "0 0.3 0.5 0.05 0.2\n"


FOUND = on_canvas(
    (0.31, 0.52, 0.06, 0.22, 0.95, 0),  # the labelled one, seen a little off
    (0.30, 0.47, 0.02, 0.08, 0.90, 4),  # its tip, taken for a yellow one
    (0.70, 0.60, 0.03, 0.10, 0.80, 4),  # a yellow one that nobody labelled
    (0.705, 0.60, 0.03, 0.10, 0.70, 2),  # the same once more, as an orange one
    (0.50, 0.30, 0.01, 0.01, 0.60, 0),  # 3.6 pixels high
    (0.90, 0.60, 0.03, 0.10, 0.30, 4),  # not sure
)


@pytest.fixture
def world(tmp_path):
    """A dataset whose images are stretched to squares, and a network that sees the same in all of them."""
    root = write_yolo(tmp_path / "data", {"train": range(3), "val": [7], "test": [8]}, label=LABEL, size=(320, 320))
    return Source(root, aspect=(16, 9)), oracle(tmp_path, FOUND), tmp_path


def test_what_no_label_is_on_is_added_to_train_and_val_stays(world):
    source, manifest, folder = world
    done = complete(manifest, source, folder / "out", NOBODY)
    assert (dict(done.added), done.frames) == ({"yellow_cone": 3}, 3)
    completed = read_dataset(folder / "out")
    assert sorted(completed.splits) == ["train", "val"]
    for sample in completed.splits["train"]:
        assert sample.label.tolist() == [0, 4]
        np.testing.assert_allclose(sample.xyxy[0], [0.275, 0.4, 0.325, 0.6], atol=1e-4)
        np.testing.assert_allclose(sample.xyxy[1], [0.685, 0.55, 0.715, 0.65], atol=2e-3)
    assert [sample.label.tolist() for sample in completed.splits["val"]] == [[0]]
    image = cv2.imread(str(completed.splits["train"][0].image))
    assert image.shape == (180, 320, 3), "in the camera's true proportions"
    assert cv2.imread(str(done.sheets[0])).shape[:2] == (96, 3 * 100 - 4)
    facts = json.loads((folder / "out" / "completed.json").read_text())
    assert facts["added"] == {"yellow_cone": 3}
    assert len(facts["model_sha256"]) == 64


@pytest.mark.parametrize(
    ("confidence", "smallest_px", "added"), [(0.4, 6.0, 1), (0.85, 6.0, 0), (0.4, 1.0, 2), (0.2, 6.0, 2)]
)
def test_only_what_is_sure_and_large_enough_is_added(world, confidence, smallest_px, added):
    source, manifest, folder = world
    done = complete(manifest, source, folder / "out", NOBODY, confidence, smallest_px)
    assert sum(done.added.values()) == 3 * added
    assert len(done.sheets) == (added > 0)


def test_a_test_image_among_the_training_frames_is_refused_and_nothing_is_written(world):
    source, manifest, folder = world
    register(read_dataset(source.path).splits["test"], folder / "registry.json")
    stolen = source.path / "images" / "test" / "clip_0008.png"
    (source.path / "images" / "train" / "clip_0100.png").write_bytes(stolen.read_bytes())
    with pytest.raises(TestLeakError):
        complete(manifest, source, folder / "out", SplitGuard.load(folder / "registry.json"))
    assert not (folder / "out").exists()


def test_more_than_fits_on_one_sheet_goes_on_the_next(world, monkeypatch):
    source, manifest, folder = world
    monkeypatch.setattr("offline_tools.datasets.complete._TILES", (2, 1))
    sheets = complete(manifest, source, folder / "out", NOBODY).sheets
    assert [cv2.imread(str(sheet)).shape[1] for sheet in sheets] == [2 * 100 - 4, 96]


def test_labels_too_small_to_train_on_are_left_out_as_everywhere(world):
    source, manifest, folder = world
    for split in ("train", "val"):
        for file in (source.path / "labels" / split).iterdir():
            file.write_text(LABEL + "4 0.9 0.5 0.001 0.2\n")
    completed = read_dataset(complete(manifest, source, folder / "out", NOBODY).data.parent)
    assert [sample.label.tolist() for sample in completed.splits["val"]] == [[0]]
    assert completed.splits["train"][0].label.tolist() == [0, 4]


def foreign_folder(source, manifest, folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("do not delete")
    return manifest, source, folder / "mine"


def own_folder(source, manifest, folder):
    return manifest, Source(folder / "out"), folder / "out"


def folder_inside_the_source(source, manifest, folder):
    return manifest, source, source.path / "completed"


def two_images_of_one_name(source, manifest, folder):
    image = source.path / "images" / "train" / "clip_0000.png"
    cv2.imwrite(str(image.with_suffix(".jpg")), cv2.imread(str(image)))
    return manifest, source, folder / "out"


def no_image(source, manifest, folder):
    (folder / "none" / "images" / "train").mkdir(parents=True)
    (folder / "none" / "data.yaml").write_text("train: images/train\nnames: [blue_cone]\n")
    return manifest, Source(folder / "none"), folder / "out"


def strip(source, manifest, folder):
    band = folder / "band.json"
    write_manifest(band, replace(read_manifest(manifest), name="band", strip=96))
    return band, source, folder / "out"


def no_manifest(source, manifest, folder):
    return folder / "nothing.json", source, folder / "out"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (foreign_folder, "was not made by this tool"),
        (own_folder, "give a folder beside the dataset"),
        (folder_inside_the_source, "give a folder beside the dataset"),
        (two_images_of_one_name, "2 images of train are called clip_0000"),
        (no_image, "split 'train' of .* holds no image"),
        (strip, "sees a strip of the canvas only"),
        (no_manifest, "nothing.json"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_lost(world, arguments, said):
    complete(world[1], world[0], world[2] / "out", NOBODY)
    wrong = arguments(*world)
    before = {path: path.read_bytes() for path in world[2].rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=said):
        complete(*wrong, NOBODY)
    assert {path: path.read_bytes() for path in world[2].rglob("*") if path.is_file()} == before


def test_the_command_says_what_it_added_and_where_to_look(world, capsys):
    source, manifest, folder = world
    registry = folder / "registry.json"
    assert main(["data", "register", str(source.path), "--registry", str(registry)]) == 0
    options = ["--data", str(source.path), "--aspect", "16:9", "--registry", str(registry)]
    assert main(["data", "complete", str(manifest), str(folder / "out"), *options]) == 0
    said = capsys.readouterr().out
    assert "labels added to 3 training frames: 3 yellow_cone" in said
    assert "added_01.png before you train" in said
