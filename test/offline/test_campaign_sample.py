# SPDX-License-Identifier: AGPL-3.0-only
"""The whole campaign on 20 pictures: every phase really runs, is killed once, and is repaired once. Minutes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from offline_tools.campaign.records import read_record

for package in ("torch", "ultralytics", "torch_pruning", "nncf", "onnxslim"):
    pytest.importorskip(package, reason=f"{package} is not installed: config/requirements/offline.txt")

pytestmark = pytest.mark.offline
ROOT = Path(__file__).parents[2]


def command(folder, *options):
    arguments = ["campaign", "config/campaign/sample.yaml", "--folder", str(folder), *options]
    return [sys.executable, "-m", "offline_tools.cli", *arguments]


def run(folder, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command(folder, *options), cwd=ROOT, env=environment, capture_output=True, text=True)


def records(folder):
    return {path.parent.name: read_record(path.parent) for path in folder.glob("phases/*/phase.json")}


def test_the_sample_campaign(tmp_path):
    folder, figures = tmp_path / "campaign", tmp_path / "campaign.json"
    killed = subprocess.Popen(command(folder), cwd=ROOT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 900
    while not (folder / "phases/train-teacher-s0/phase.json").exists():
        assert killed.poll() is None, "the campaign ended before it came to the teacher"
        assert time.monotonic() < end
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = records(folder)
    assert before["train-teacher-s0"].status == "running"

    done = run(folder, "--record", str(figures))
    assert done.returncode == 0, done.stdout
    after = records(folder)
    assert {name for name, record in after.items() if record.status != "done"} == set()
    finished = [name for name, record in before.items() if record.status == "done"]
    assert "train-yolo12n-s0" in finished
    assert all(after[name] == before[name] for name in finished), "nothing that was finished is repeated"
    assert after["train-teacher-s0"].attempts == 2

    written = json.loads(figures.read_text())
    assert written["gate"]["decision"] == "B", "one epoch finds nothing"
    assert {entry["name"] for entry in written["variants"]} == {"yolo12n", "teacher", "distilled", "direct", "pruned"}
    by_kind = {(entry["name"], entry["precision"]): entry for entry in written["variants"]}
    direct, pruned = by_kind["direct", "int8"], by_kind["pruned", "int8"]
    assert pruned["params"] < 0.7 * direct["params"]
    assert by_kind["direct", "fp32"]["seeds"] == [0, 1]
    assert all(by_kind[name, "int8"]["latency_ms"] > 0 for name in ("direct", "distilled", "pruned"))
    assert ("yolo12n", "int8") not in by_kind, "branch A was left at the gate"
    assert written["final_test"]["split"] == "test"
    ledger = json.loads((folder / "test_ledger.json").read_text())["entries"]
    assert len(ledger) == 1
    assert (folder / "phases/report/report.html").stat().st_size > 10_000

    weights = folder / "phases/train-direct-s0/640/weights/best.pt"
    weights.write_bytes(weights.read_bytes()[:-1])
    plan = run(folder, "--dry-run").stdout
    assert "best.pt is damaged" in plan
    assert run(folder).returncode == 0
    repaired = records(folder)
    assert repaired["train-direct-s0"].started > after["train-direct-s0"].started
    assert repaired["train-direct-s1"] == after["train-direct-s1"]
    assert run(folder).stdout.count("running") == 0
