# SPDX-License-Identifier: AGPL-3.0-only
"""A technique that is misspelt or makes no sense is refused before anything is built."""

import json

import pytest
import yaml

from offline_tools import technique as techniques
from offline_tools.technique import Backbone, Distill, Prune, TechniqueError, describe, make_start, read_technique
from offline_tools.train import TrainError, read_config

DISTILL = {"kind": "distill", "teacher": "m.pt"}
REGNET = {"kind": "backbone", "name": "regnet"}
PRUNE = {"kind": "prune", "weights": "n.pt"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DISTILL, Distill("m.pt", 0.5, 0.25, 0.25, 4.0)),
        ({**DISTILL, "logits": 0.3, "features": 0.2, "temperature": 3}, Distill("m.pt", 0.5, 0.3, 0.2, 3)),
        ({"kind": "backbone", "name": "regnet_y_400mf", "library": "timm"}, Backbone("regnet_y_400mf", "timm")),
        ({**REGNET, "depth": 10, "w_a": 30}, Backbone("regnet", depth=10, w_a=30)),
        ({**PRUNE, "ratio": 0.5}, Prune("n.pt", 0.5, 8)),
    ],
)
def test_a_mapping_is_read_and_described(values, expected):
    assert read_technique(values) == expected
    assert read_technique(json.loads(json.dumps(describe(expected)))) == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("distill", "must be a mapping"),
        ({"kind": "dropout"}, "kind is 'dropout': use one of distill, backbone, prune"),
        ({"kind": "distill"}, r"missing keys \['teacher'\]"),
        ({**DISTILL, "alpha": 0.5}, r"unknown keys \['alpha'\]"),
        ({**DISTILL, "task": 0}, "without labels no box is learned"),
        ({**DISTILL, "logits": -0.1}, "neither may be negative"),
        ({**DISTILL, "temperature": 0.0}, "temperature is 0.0"),
        ({**DISTILL, "temperature": "hot"}, "temperature is 'hot', must be of type float"),
        ({"kind": "backbone", "name": "resnet"}, "name is 'resnet'"),
        ({**REGNET, "w_0": 20}, "w_0 is 20, must be a positive multiple of 8"),
        ({**REGNET, "w_m": 1.0}, "w_m above 1"),
        ({**REGNET, "depth": True}, "depth is True, must be of type int"),
        ({**PRUNE, "ratio": 1.2}, "ratio is 1.2"),
        ({**PRUNE, "round_to": 0}, "round_to is 0"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(values, says):
    with pytest.raises(TechniqueError, match=says):
        read_technique(values)


def test_a_configuration_names_its_file_when_its_technique_is_wrong(tmp_path):
    path = tmp_path / "net.yaml"
    values = {"name": "a", "model": "yolo11n.yaml", "sources": [], "stages": [], "technique": {"kind": "?"}}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(TrainError, match=r"net\.yaml: technique: kind is '\?'"):
        read_config(path)


def test_a_configuration_builds_on_another(tmp_path):
    base = {
        "name": "a",
        "model": "yolo11n.yaml",
        "sources": [{"path": "data"}],
        "stages": [{"name": "640", "epochs": 100}],
        "settings": {"batch": 64, "lr0": 0.002},
    }
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "b.yaml").write_text(
        yaml.safe_dump({"base": "base.yaml", "name": "b", "technique": PRUNE, "settings": {"lr0": 0.001}})
    )
    config = read_config(tmp_path / "b.yaml")
    assert (config.name, config.model, config.technique) == ("b", "yolo11n.yaml", Prune("n.pt"))
    assert config.settings == {"batch": 64, "lr0": 0.001}
    assert config.stages == read_config(tmp_path / "base.yaml").stages


def test_first_weights_are_made_again_only_where_something_changed(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
    from offline_tools import prune

    made = []

    def write(technique, path):
        made.append(technique.ratio)
        path.write_bytes(b"weights")
        return {"params": 1}

    monkeypatch.setattr(prune, "write_start", write)
    path = tmp_path / "run" / "start.pt"
    first = make_start(Prune("n.pt"), "n.yaml", path, 0, reuse=True)
    assert first["params"] == 1
    assert make_start(Prune("n.pt"), "n.yaml", path, 0, reuse=True) == first
    path.write_bytes(b"half")
    make_start(Prune("n.pt"), "n.yaml", path, 0, reuse=True)
    make_start(Prune("n.pt", 0.5), "n.yaml", path, 0, reuse=True)
    make_start(Prune("n.pt", 0.5), "n.yaml", path, 0)
    assert made == [0.4, 0.4, 0.5, 0.5]
    assert techniques.read_technique(json.loads(path.with_suffix(".json").read_text())["technique"]).ratio == 0.5
