# SPDX-License-Identifier: AGPL-3.0-only
"""A sweep whose trials are cheap processes; run as a script, it works on the study in the given folder."""

import sys
from pathlib import Path

from offline_tools.sweep import start
from offline_tools.sweep.config import Pruner, Sweep
from offline_tools.sweep.runner import Job
from offline_tools.sweep.space import read_space

TRIAL = (sys.executable, str(Path(__file__).with_name("sweep_trial.py")))
SPACE = {"lr0": {"log": [0.0003, 0.03]}, "batch": {"choice": [8, 16, 32]}}


def make_sweep(**changes):
    values = {
        "name": "cheap",
        "training": {
            "name": "net",
            "model": "yolo11n.yaml",
            "sources": [{"path": "data"}],
            "settings": {"batch": 8, "lr0": 0.003},
            "stages": [{"name": "640", "imgsz": 640, "epochs": 3}],
        },
        "space": read_space(SPACE),
        "trials": 4,
        "metric": "map50",
        "pruner": Pruner("none"),
    }
    return Sweep(**{**values, **changes})


def make_job(folder: Path, sweep: Sweep | None = None) -> Job:
    data = folder / "prepared"
    data.mkdir(parents=True, exist_ok=True)
    (data / "prepared.json").write_text("{}")
    registry = folder / "registry.json"
    registry.write_text('{"images": []}')
    job = start.open_folder(sweep or make_sweep(), folder, data, registry)
    return Job(job.sweep, job.folder, job.data, job.registry, command=TRIAL)


if __name__ == "__main__":
    start.run(make_job(Path(sys.argv[1]), make_sweep(trials=int(sys.argv[2]))), "", print)
