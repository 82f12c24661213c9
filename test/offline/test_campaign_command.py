# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools campaign`, as it is called: killed and started again, dry, packed, and with a phase that fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from offline_tools.campaign.records import read_record
from offline_tools.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A campaign of few pictures, the working directory at the repository's root."""
    monkeypatch.chdir(ROOT)
    path = tmp_path / "small.yaml"
    values = {
        "name": "small",
        "folder": str(tmp_path / "small"),
        "dataset": {"scenes": {"train": 2, "val": 1}},
        "train": "config/train/sample.yaml",
        "variants": [{"name": "direct", "branch": "B", "model": "yolo11n.yaml"}],
    }
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_killed_command_goes_on_where_it_was(config, tmp_path):
    scenes = tmp_path / "small/phases/scenes"
    command = [sys.executable, "-m", "offline_tools.cli", "campaign", str(config), "--until", "prepare"]
    killed = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (scenes / "phase.json").exists():
        assert time.monotonic() < end, "the first phase never started"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert read_record(scenes).status == "running"
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scenes on cpu: was interrupted" in done.stdout
    assert (read_record(scenes).status, read_record(scenes).attempts) == ("done", 2)
    prepared = read_record(tmp_path / "small/phases/prepare")
    assert prepared.figures["images"] == {"train": 2, "val": 1}
    again = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert again.stdout.strip() == "2 unchanged, 10 not selected"


def test_a_dry_run_only_prints(config, tmp_path, capsys):
    assert main(["campaign", str(config), "--dry-run"]) == 0
    assert "never ran" in capsys.readouterr().out
    assert not (tmp_path / "small").exists()


def test_a_failed_phase_is_named_and_makes_the_exit_code(config, tmp_path, capsys):
    values = yaml.safe_load(config.read_text())
    values["dataset"] = {"path": str(tmp_path / "nowhere")}
    values["data"] = str(tmp_path / "also_nowhere")
    config.write_text(yaml.safe_dump(values))
    record = tmp_path / "campaign.json"
    assert main(["campaign", str(config), "--record", str(record)]) == 1
    output = capsys.readouterr().out
    assert "failed  train-direct-s0: phase train-direct-s0 needs" in output
    assert "blocked  choose: needs" in output
    assert json.loads(record.read_text())["variants"] == [], "without a run there is no figure"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--only", "tra1n-*"], "--only tra1n-* fits no phase; there are scenes, prepare"),
        (["--until", "nothing"], "--until nothing fits no phase"),
        (["--pack", "x.tar"], "holds nothing of these phases"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(config, options, says, capsys):
    assert main(["campaign", str(config), *options]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_two_campaigns_do_not_share_a_folder(config, tmp_path, capsys):
    import fcntl

    (tmp_path / "small").mkdir()
    with (tmp_path / "small/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["campaign", str(config)]) == 1
    assert "another campaign runs in" in capsys.readouterr().err
