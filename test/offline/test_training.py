# SPDX-License-Identifier: AGPL-3.0-only
"""Real training runs, of an epoch or two on a handful of pictures: what they start from, leave behind and record."""

import csv
import json
import os
import subprocess

import pytest
from pictures import write_yolo

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from ultralytics import YOLO  # noqa: E402
from ultralytics.utils.dist import ddp_cleanup, generate_ddp_command  # noqa: E402

from offline_tools import networks  # noqa: E402
from offline_tools.datasets import read_dataset  # noqa: E402
from offline_tools.datasets.guard import SplitGuard, register  # noqa: E402
from offline_tools.datasets.prepare import Source, prepare  # noqa: E402
from offline_tools.distill import ConeDistillation  # noqa: E402
from offline_tools.split_blocks import is_pruned  # noqa: E402
from offline_tools.technique import Backbone, Distill, Prune  # noqa: E402
from offline_tools.train import Stage, TrainConfig, train  # noqa: E402

# The smallest canvas whose cut for a 16:9 camera has whole strides.
SETTINGS = {
    "imgsz": 160, "batch": 4, "epochs": 1, "optimizer": "AdamW", "lr0": 0.001, "device": "cpu", "workers": 0,
    "plots": False, "close_mosaic": 0, "warmup_epochs": 0, "verbose": False,
}  # fmt: skip


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def guard_and_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    source = write_yolo(folder / "source", {"train": range(4), "val": range(4, 6), "test": [6]}, size=(160, 96))
    register(read_dataset(source).splits["test"], folder / "registry.json")
    guard = SplitGuard.load(folder / "registry.json")
    prepare([Source(source)], folder / "prepared", guard)
    return guard, folder / "prepared"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights to teach with and to prune."""
    path = tmp_path_factory.mktemp("trained") / "trained.pt"
    networks.save(networks.build("yolo11n.yaml", 1), path)
    return path


@pytest.fixture
def run(guard_and_data, tmp_path):
    guard, data = guard_and_data

    def start(technique=None, stages=({},), overrides=None, resume=False):
        stages = [Stage(f"stage{number}", settings) for number, settings in enumerate(stages)]
        config = TrainConfig("net", "yolo11n.yaml", [], stages, settings=SETTINGS, technique=technique)
        weights = train(config, tmp_path / "runs", data, overrides, resume, guard)
        records = [json.loads((tmp_path / "runs/net" / stage.name / "stage.json").read_text()) for stage in stages]
        return weights, records

    return start


def test_a_pruned_network_is_tuned_stage_after_stage(run, trained):
    weights, records = run(Prune(str(trained)), ({}, {"imgsz": 160}), {"seed": 3})
    model = YOLO(weights).model
    assert is_pruned(model)
    size = networks.size(model)
    for record in records:
        assert (record["params"], record["gflops"]) == (size["params"], size["gflops"])
        assert record["technique"] == {"kind": "prune", "weights": str(trained), "ratio": 0.4, "round_to": 8}
        assert record["start"]["before"]["params"] > 2 * record["params"]
        assert (record["seed"], record["epochs"], record["best_epoch"]) == (3, 1, 1)
        assert {"ultralytics", "torch", "torch-pruning"} <= set(record["versions"])
    assert [record["start_weights"] for record in records] == ["start.pt", "best.pt"]


def test_a_regnet_is_trained_stage_after_stage(run):
    technique = Backbone("regnet", depth=8, w_0=16, w_a=30.0)
    weights, (first, second) = run(technique, ({}, {}))
    assert first["start"]["widths"] == second["start"]["widths"] == [16, 40, 96, 248]
    assert networks.size(YOLO(weights).model)["params"] == first["params"]


def test_the_best_epochs_figure_is_noted(run):
    weights, (record,) = run(overrides={"epochs": 2})
    with (weights.parents[1] / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert record["epochs"] == len(rows) == 2
    kept = rows[record["best_epoch"] - 1]
    assert record["map50"] == float(kept["metrics/mAP50(B)"])
    assert float(kept["metrics/mAP50-95(B)"]) == max(float(row["metrics/mAP50-95(B)"]) for row in rows)


def test_head_only_training_leaves_the_rest_as_it_was(run):
    weights, _ = run(stages=({}, {"freeze": 23, "lr0": 0.01}))
    before = torch.load(weights.parents[2] / "stage0/weights/best.pt", weights_only=False)["model"].state_dict()
    after = torch.load(weights, weights_only=False)["model"].state_dict()
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"23"}


def test_a_killed_distillation_goes_on_and_keeps_the_student_alone(run, trained, tmp_path, monkeypatch):
    technique = Distill(str(trained))

    def kill(trainer):
        if trainer.epoch == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("offline_tools.distill.DistillTrainer.save_metrics", _after(kill))
        with pytest.raises(Killed):
            run(technique, overrides={"epochs": 3})
    folder = tmp_path / "runs/net/stage0"
    saved = torch.load(folder / "weights/last.pt", weights_only=False)
    assert saved["epoch"] == 0
    assert isinstance(saved["ema"], ConeDistillation)
    assert saved["ema"].teacher_model is None
    projections = saved["ema"].projector.state_dict()

    seen = []
    load = torch.nn.ModuleList.load_state_dict
    with monkeypatch.context() as patch:
        patch.setattr(
            torch.nn.ModuleList, "load_state_dict", lambda self, state: seen.append(state) or load(self, state)
        )
        weights, (record,) = run(technique, overrides={"epochs": 3}, resume=True)
    assert all(torch.equal(seen[-1][name].half(), value) for name, value in projections.items())
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["epoch"])) for row in rows] == [1, 2, 3]
    assert all(float(row[f"train/{part}"]) > 0 for row in rows for part in ("kl_loss", "feature_loss"))
    model = YOLO(weights).model
    assert type(model).__name__ == "DetectionModel"
    assert record["params"] == networks.size(networks.build("yolo11n.yaml", 0))["params"]
    assert record["start"]["teacher"]["params"] == record["params"]


def _after(kill):
    from offline_tools.trainer import ConeTrainer

    def save_metrics(self, metrics):
        kill(self)
        ConeTrainer.save_metrics(self, metrics)

    return save_metrics


def test_two_processes_train_one_network(guard_and_data, trained, tmp_path):
    """The script that ultralytics starts for each GPU, in two processes of the CPU."""
    from two_processes import TwoProcessTrainer

    from offline_tools.distill import write_start

    _, data = guard_and_data
    write_start(Distill(str(trained)), "yolo11n.yaml", tmp_path / "start.pt", 0)
    start = YOLO(tmp_path / "start.pt")
    settings = {
        **SETTINGS, "model": str(tmp_path / "start.pt"), "data": str(data / "data.yaml"), "distill_model": str(trained),
        "project": str(tmp_path), "name": "run", "exist_ok": True,
    }  # fmt: skip
    trainer = TwoProcessTrainer(overrides=settings, _callbacks=start.callbacks)
    trainer.model = trainer.get_model(weights=start.model, cfg=start.model.yaml)
    command, script = generate_ddp_command(trainer)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    finally:
        ddp_cleanup(trainer, script)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "run/results.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["train/kl_loss"]) > 0
    first, second = ((tmp_path / f"run/rank{rank}.txt").read_text() for rank in (0, 1))
    assert first == second, "gradients were not shared: the processes' networks differ"
