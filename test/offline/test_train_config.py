# SPDX-License-Identifier: AGPL-3.0-only
"""A training configuration that would harm cones, or that is misspelt, is refused before anything is trained."""

from pathlib import Path

import cv2
import pytest
import yaml
from pictures import picture, write_yolo

from cone_detector.classes import CLASS_NAMES
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.guard import SplitGuard, TestLeakError, register
from offline_tools.datasets.prepare import Source, prepare
from offline_tools.train import TrainError, find_checkpoint, read_config, train

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "train").glob("*.yaml"))
CONFIG = {
    "name": "net",
    "model": "yolo11n.yaml",
    "sources": [{"path": "data", "aspect": [16, 9]}],
    "stages": [{"name": "640", "imgsz": 640, "epochs": 1}],
}


def write(tmp_path, **changes):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    assert read_config(path).stages


def test_stages_and_sources_are_read(tmp_path):
    config = read_config(write(tmp_path))
    assert [(stage.name, stage.settings) for stage in config.stages] == [("640", {"imgsz": 640, "epochs": 1})]
    assert config.sources == [Source(Path("data"), aspect=(16, 9))]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": {"flipud": 0.5}}, "no cone stands on its tip"),
        ({"settings": {"hsv_h": 0.1}}, "yellow cone into an orange one"),
        ({"stages": [{"name": "a", "bgr": 1.0}]}, "blue cones orange"),
        ({"wandb": "maybe"}, "disabled, offline or online"),
        ({"epochs": 3}, r"unknown keys \['epochs'\]"),
        ({"sources": [{"aspect": [16, 9]}]}, "need `path`"),
        ({"sources": [{"path": "data", "split": "test"}]}, "never trained on"),
    ],
)
def test_harmful_or_misspelt_settings_are_refused(tmp_path, changes, says):
    with pytest.raises(TrainError, match=says):
        read_config(write(tmp_path, **changes))


def test_harmful_overrides_are_refused_too(tmp_path):
    with pytest.raises(TrainError, match=r"stage 640: flipud is 0\.5"):
        train(read_config(write(tmp_path)), tmp_path, overrides={"flipud": 0.5})


@pytest.fixture
def world(tmp_path):
    """Stretched frames with a registered test split, and rendered ones without a YAML."""
    root = write_yolo(tmp_path / "data", {"train": range(4), "val": range(4, 6), "test": [6]}, size=(320, 320))
    register(read_dataset(root).splits["test"], tmp_path / "registry.json")
    scenes = write_yolo(tmp_path / "scenes", {"train": range(10, 13)}, label="3 0.5 0.5 0.002 0.002\n1 .5 .5 .1 .1\n")
    (scenes / "data.yaml").unlink()
    return root, scenes, SplitGuard.load(tmp_path / "registry.json")


def test_prepared_data_has_true_proportions_and_no_test_image(world, tmp_path):
    root, scenes, guard = world
    sources = [Source(root, (16, 9), {"clip_0001*": 3, "*": 2}), Source(scenes, smallest=4.0)]
    prepared = prepare(sources, tmp_path / "out", guard)
    assert prepared.images == {"train": 7, "val": 2}
    image = cv2.imread(str(tmp_path / "out/train/images/0_clip_0000.jpg"))
    assert image.shape[:2] == (180, 320)
    listed = (tmp_path / "out/train.txt").read_text().split()
    assert [listed.count(f"./train/images/0_clip_000{number}.jpg") for number in (0, 1)] == [2, 3]
    labels = (tmp_path / "out/train/labels/1_clip_0010.txt").read_text().splitlines()
    assert [line.split()[0] for line in labels] == ["1"], "a box that nobody would have labelled is dropped"
    settings = yaml.safe_load(prepared.data.read_text())
    assert "test" not in settings
    assert settings["names"] == dict(enumerate(CLASS_NAMES))


def test_scenes_alone_can_validate(world, tmp_path):
    _, scenes, guard = world
    sources = [Source(scenes), Source(scenes, split="val")]
    assert prepare(sources, tmp_path / "out", guard).images == {"train": 3, "val": 3}


def test_a_test_image_among_the_scenes_stops_the_preparation(world, tmp_path):
    root, scenes, guard = world
    cv2.imwrite(str(scenes / "images/train/scene.jpg"), cv2.resize(picture(6, (320, 320)), (640, 360)))
    with pytest.raises(TestLeakError, match="training"):
        prepare([Source(root), Source(scenes)], tmp_path / "out", guard)


def test_a_folder_of_someone_else_is_not_emptied(world, tmp_path):
    root, _, guard = world
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(DatasetError, match="not made by this tool"):
        prepare([Source(root)], tmp_path / "home", guard)
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_without_validation_frames_there_is_no_training(world, tmp_path):
    _, scenes, guard = world
    with pytest.raises(DatasetError, match="no frames for val"):
        prepare([Source(scenes)], tmp_path / "out", guard)


@pytest.mark.offline
@pytest.mark.parametrize(
    ("last", "best", "state"),
    [
        (None, None, ("none", None)),
        ("running", "running", ("unfinished", "last.pt")),
        ("half", "running", ("unfinished", "best.pt")),
        ("half", "half", ("none", None)),
        ("stripped", "stripped", ("finished", "best.pt")),
        ("half", "last epoch", ("finished", "best.pt")),
        ("running", "half", ("unfinished", "last.pt")),
    ],
)
def test_a_killed_stage_goes_on_from_a_whole_checkpoint(tmp_path, last, best, state):
    torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
    for name, content in (("last.pt", last), ("best.pt", best)):
        if content == "half":
            (tmp_path / name).write_bytes(b"")
        elif content is not None:
            epoch = {"running": 3, "last epoch": 9, "stripped": -1}[content]
            optimizer = None if content == "stripped" else {}
            torch.save({"epoch": epoch, "optimizer": optimizer, "train_args": {"epochs": 10}}, tmp_path / name)
    found, path = find_checkpoint(tmp_path)
    assert (found, path and path.name) == state
