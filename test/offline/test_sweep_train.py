# SPDX-License-Identifier: AGPL-3.0-only
"""Two real trainings by `cone-tools sweep`, each a process that runs ultralytics."""

import json

import pytest
import yaml
from pictures import write_yolo

from offline_tools.cli import main

pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")


@pytest.mark.offline
def test_two_real_trials_leave_records_and_an_analysis(tmp_path, monkeypatch, capsys):
    root = write_yolo(tmp_path / "data", {"train": range(4), "val": range(4, 6), "test": [6]}, size=(320, 192))
    registry = tmp_path / "registry.json"
    assert main(["data", "register", str(root), "--registry", str(registry)]) == 0
    training = {
        "name": "tiny",
        "model": "yolo11n.yaml",
        "sources": [{"path": str(root)}],
        "settings": {"workers": 0, "plots": False, "optimizer": "AdamW"},
        "stages": [{"name": "160", "imgsz": 160, "epochs": 1, "close_mosaic": 0}],
    }
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(training))
    sweep = {
        "name": "real",
        "train": str(tmp_path / "training.yaml"),
        "trials": 2,
        "settings": {"batch": 2},
        "space": {"lr0": {"log": [0.001, 0.01]}},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    arguments = ["--runs", str(tmp_path), "--registry", str(registry), "--device", "cpu"]
    assert main(["sweep", str(tmp_path / "sweep.yaml"), *arguments]) == 0
    assert "too few trials" in capsys.readouterr().out
    for number in (0, 1):
        folder = tmp_path / "real" / "trials" / f"{number:04d}"
        record = json.loads((folder / "trial.json").read_text())
        assert (record["state"], len(record["epochs"])) == ("completed", 1)
        assert record["device"].startswith("CPU")
        settings = json.loads((folder / "stage.json").read_text())["settings"]
        assert settings["lr0"] == record["params"]["lr0"]
        assert (folder / "weights" / "best.pt").stat().st_size > 1_000_000
    assert (tmp_path / "real" / "analysis.png").exists()
