# SPDX-License-Identifier: AGPL-3.0-only
"""Ray Tune as a sweep's backend leaves the same records as Optuna."""

import pytest
from sweep_world import make_job, make_sweep

from offline_tools.sweep import start
from offline_tools.sweep.config import Pruner
from offline_tools.sweep.record import COMPLETED, FAILED, read_records
from offline_tools.sweep.space import read_space

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[tune]'")


@pytest.mark.offline
def test_ray_runs_trials_and_survives_a_crash(tmp_path):
    space = read_space({"lr0": {"log": [0.001, 0.01]}, "batch": {"choice": [8, 64]}})
    sweep = make_sweep(space=space, trials=4, backend="ray", seed=1, pruner=Pruner("median", startup_trials=9))
    start.run(make_job(tmp_path, sweep), "", lambda record: None)
    records = read_records(tmp_path)
    assert [record.number for record in records] == [0, 1, 2, 3]
    for record in records:
        assert record.state == (FAILED if record.params["batch"] == 64 else COMPLETED)
    assert {record.state for record in records} == {FAILED, COMPLETED}
