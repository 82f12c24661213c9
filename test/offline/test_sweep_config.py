# SPDX-License-Identifier: AGPL-3.0-only
"""A sweep that could not work, or would harm cones, is refused before anything runs."""

from pathlib import Path

import pytest
import yaml
from sweep_world import SPACE, make_sweep

from offline_tools.sweep import SweepError
from offline_tools.sweep.config import read_sweep, trial_config
from offline_tools.sweep.space import decode, encode, read_space
from offline_tools.train import TrainError, read_config

ROOT = Path(__file__).parents[2]


def write(tmp_path, **changes):
    training = {
        "name": "net",
        "model": "yolo11n.yaml",
        "sources": [{"path": "data"}],
        "settings": {"optimizer": "AdamW"},
        "stages": [{"name": "640", "imgsz": 640, "epochs": 3}, {"name": "320", "imgsz": 320, "epochs": 2}],
    }
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({**training, **changes.pop("training", {})}))
    values = {"name": "s", "train": str(tmp_path / "training.yaml"), "stage": "640", "trials": 3, "space": SPACE}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path


@pytest.mark.parametrize("name", ["sample.yaml", "cones.yaml"])
def test_shipped_sweeps_are_valid(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert read_sweep(ROOT / "config" / "sweep" / name).space


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "space is empty"),
        ({"lr0": [0.1, 0.2]}, "must be one of float, log, int, choice"),
        ({"lr0": {"uniform": [0.1, 0.2]}}, "must be one of"),
        ({"lr0": {"log": [0.1]}}, "two values or more"),
        ({"lr0": {"log": ["low", "high"]}}, "needs two numbers"),
        ({"lr0": {"log": [0, 0.1]}}, "must be above 0"),
        ({"lr0": {"float": [0.2, 0.1]}}, "the first must be the lower one"),
        ({"lr0": {"float": [0.1, float("nan")]}}, "the first must be the lower one"),
        ({"batch": {"int": [1.5, 4]}}, "whole numbers"),
        ({"batch": {"choice": [8, 8]}}, "a choice twice"),
        ({"data": {"choice": ["a", "b"]}}, "no other"),
        ({"split": {"choice": ["val", "test"]}}, "no other"),
        ({"flipud": {"float": [0.0, 0.5]}}, "flipud = 0.5: .*no cone stands on its tip"),
        ({"hsv_h": {"float": [0.0, 0.1]}}, "yellow cone into an orange one"),
        ({"bgr": {"choice": [0.0, 1.0]}}, "blue cones orange"),
        ({"momentum": {"float": [0.8, 0.9]}, "optimizer": {"choice": ["SGD", "auto"]}}, "momentum: .*optimizer auto"),
        ({"epochs": {"int": [1, 5]}}, "alike for all trials"),
        ({"technique.temperature": {"float": [1.0, 4.0]}}, "has no technique"),
    ],
)
def test_a_bad_search_space_is_refused(tmp_path, space, says):
    with pytest.raises(SweepError, match=says):
        read_sweep(write(tmp_path, space=space))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trails": 3}, r"unknown keys \['trails'\]"),
        ({"trials": 0}, "at least 1"),
        ({"metric": "loss"}, "one of map50, map50_95"),
        ({"backend": "hyperopt"}, "one of optuna, ray"),
        ({"pruner": {"kind": "asha"}}, "one of median, hyperband, none"),
        ({"pruner": {"patience": 3}}, "min_epochs"),
        ({"stage": "512"}, "has 640, 320"),
        ({"stage": None}, "say which is swept"),
        ({"settings": {"flipud": 0.5}}, "settings: .*no cone stands on its tip"),
        ({"settings": {"lr0": 0.1}}, "keep one"),
        ({"settings": {"split": "test"}}, "no other"),
        ({"settings": {"optimizer": "auto"}}, "ignores it with optimizer auto"),
    ],
)
def test_a_bad_sweep_is_refused(tmp_path, changes, says):
    with pytest.raises(SweepError, match=says):
        read_sweep(write(tmp_path, **changes))


def test_a_training_configuration_that_asks_for_test_frames_is_refused(tmp_path):
    training = {"sources": [{"path": "data", "split": "test"}]}
    with pytest.raises(TrainError, match="never trained on"):
        read_sweep(write(tmp_path, training=training))


def test_a_trial_is_the_training_configuration_with_its_settings(tmp_path):
    sweep = read_sweep(write(tmp_path, settings={"epochs": 1}, model="other.pt"))
    file = tmp_path / "trial.yaml"
    file.write_text(yaml.safe_dump(trial_config(sweep, "0007", {"lr0": 0.01, "batch": 16})))
    config = read_config(file)
    assert (config.name, config.model) == ("trials/0007", "other.pt")
    assert [(stage.name, dict(stage.settings)) for stage in config.stages] == [
        (".", {"imgsz": 640, "epochs": 1, "lr0": 0.01, "batch": 16})
    ]


def test_a_technique_can_be_swept(tmp_path):
    technique = {"kind": "distill", "teacher": "teacher.pt", "temperature": 4.0}
    space = {"technique.temperature": {"float": [1.0, 6.0]}}
    sweep = read_sweep(write(tmp_path, training={"technique": technique}, space=space))
    trial = trial_config(sweep, "0", {"technique.temperature": 2.0})
    assert trial["technique"]["temperature"] == 2.0
    assert sweep.training["technique"]["temperature"] == 4.0, "the next trial starts from the same configuration"


def test_choices_of_any_type_survive_the_sampler():
    space = read_space({"scale": {"choice": [[0.4, 1.7], 0.5, True, None, "auto"]}})
    for option in space["scale"].options:
        encoded = encode(space, {"scale": option})
        assert decode(space, encoded) == {"scale": option}
        assert encoded["scale"] in space["scale"].distribution().choices


def test_numbers_without_a_point_are_numbers():
    assert read_space(yaml.safe_load("lr0: {log: [1e-4, 1e-2]}"))["lr0"].bounds == (1e-4, 1e-2)


def test_all_trials_train_equally_long():
    assert make_sweep(settings={"epochs": 7}).epochs == 7
