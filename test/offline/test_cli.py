# SPDX-License-Identifier: AGPL-3.0-only
"""cone-tools teaches, refuses in one line, and says by its exit code what happened."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import oracle
from pictures import write_yolo

from offline_tools.cli import COMMANDS, main


@pytest.fixture
def world(tmp_path):
    root = write_yolo(tmp_path / "data", {"train": range(4), "val": range(4, 6), "test": range(6, 8)})
    registry = tmp_path / "registry.json"
    assert main(["data", "register", str(root), "--registry", str(registry)]) == 0
    return root, registry, tmp_path


def test_help_names_every_command_without_heavy_imports():
    code = "import sys; from offline_tools.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('torch', 'ultralytics', 'nncf', 'openvino', 'onnx') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in output for name in COMMANDS)
    assert output.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["data", "train", "sweep", "compare", "quantize", "evaluate", "final", "report"])
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 400


def test_a_clean_dataset_is_fit(world, capsys):
    root, _, folder = world
    assert main(["data", "check", str(root), "--histogram", str(folder / "heights.png")]) == 0
    assert capsys.readouterr().out.endswith("fit to train on\n")
    assert (folder / "heights.png").stat().st_size > 5000


def test_a_leak_and_a_broken_image_are_reported(world, capsys):
    root, _, _ = world
    test_image = root / "images/test/clip_0006.png"
    (root / "images/train/clip_0044.png").write_bytes(test_image.read_bytes())
    (root / "images/val/clip_0005.png").write_bytes(b"")
    record = root / "check.json"
    assert main(["data", "check", str(root), "--json", str(record)]) == 1
    output = capsys.readouterr().out
    found = json.loads(record.read_text())
    assert found["near_twins"] == [{"split": "test", "like": "train", "images": 1}]
    assert found["faults"]["broken image"] == 1
    assert found["clean"] is False
    assert "1 x nearly the same picture in train and test" in output
    assert "1 x broken image" in output
    assert "NOT fit" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "check", "nowhere"], "nowhere does not exist"),
        (["train", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["sweep", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["sweep", "analyze"], "needs the folder of a sweep"),
        (["sweep", "analyze", "nowhere"], "nowhere holds no sweep"),
        (["evaluate", "nowhere.json", "--data", "nowhere"], "nowhere"),
        (["compare", "nowhere.json"], "no record of a training run"),
    ],
)
def test_a_refusal_is_one_line(arguments, says, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cone-tools {arguments[0]}: ")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["bake"], ["evaluate"], ["evaluate", "a", "--data", "b", "--aspect", "wide"]]
)
def test_wrong_options_exit_with_two(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_evaluation_writes_table_report_and_curves(world, capsys):
    root, registry, folder = world
    engine = oracle(folder, np.zeros((0, 6), np.float32))
    report, curves = folder / "accuracy.json", folder / "curves"
    arguments = ["evaluate", str(engine), "--data", str(root), "--registry", str(registry)]
    assert main([*arguments, "--json", str(report), "--curves", str(curves), "--note"]) == 0
    assert "mAP50 blue_cone" in capsys.readouterr().out
    assert json.loads(report.read_text())["models"][0]["split"] == "val"
    assert (curves / "oracle-640-val.png").stat().st_size > 5000
    assert json.loads(engine.read_text())["evaluation"]["split"] == "val"


def test_the_final_look_at_a_policy_is_taken_once(world, capsys):
    root, registry, folder = world
    engines = Path(__file__).resolve().parents[2] / "engines"
    options = [
        "--registry",
        str(registry),
        "--ledger",
        str(folder / "ledger.json"),
        "--json",
        str(folder / "look.json"),
    ]
    command = ["final", "--data", str(root), "--engines", str(engines), *options]
    assert main([*command, "--param", "policy.name=fixed_320"]) == 0
    assert main([*command, "--param", "policy.name=fixed_320"]) == 1
    assert "was evaluated on this test split" in capsys.readouterr().err
    assert main([*command, "--param", "policy.name=fixed_640"]) == 0
    assert main(command) == 0
    assert main([*command, "--param", "policy.name=band"]) == 1, "auto stands for it"
    (folder / "other.json").write_text("{}")
    assert main([*command, "--param", "policy.name=cascade", "--json", str(folder / "other.json")]) == 1
    assert "is no record of `cone-tools final`" in capsys.readouterr().err
    assert len(json.loads((folder / "ledger.json").read_text())["entries"]) == 3
    assert main([*command, "--param", "policy.nme=band"]) == 1
    looks = json.loads((folder / "look.json").read_text())["policies"]
    assert [(one["passes"], one["split"], one["forced"]) for one in looks] == [
        (["320"], "test", False),
        (["640"], "test", False),
        (["320", "band"], "test", False),
    ]
