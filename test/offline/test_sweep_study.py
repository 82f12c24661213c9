# SPDX-License-Identifier: AGPL-3.0-only
"""A real study over real processes: what crashes, hangs or is killed takes nothing else down, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest
from sweep_world import make_job, make_sweep

from offline_tools.sweep import SweepError, start, study
from offline_tools.sweep.config import Pruner
from offline_tools.sweep.record import COMPLETED, FAILED, INTERRUPTED, PRUNED, read_records
from offline_tools.sweep.space import read_space


def spawn(folder, trials):
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(Path(__file__).with_name("sweep_world.py")), str(folder), str(trials)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)


def wait_for(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"a minute passed without {what}")


def test_every_trial_leaves_its_record(tmp_path):
    job = make_job(tmp_path, make_sweep(trials=3))
    told = []
    study.run(job, ended=told.append)
    records = read_records(tmp_path)
    assert records == [*told]
    assert [record.number for record in records] == [0, 1, 2]
    for record in records:
        assert (record.state, record.returncode, record.device) == (COMPLETED, 0, "CPU (a test of group cheap)")
        assert [row["epoch"] for row in record.epochs] == [1, 2, 3]
        assert record.value == pytest.approx(record.epochs[-1]["metrics/mAP50(B)"])
        assert set(record.params) == {"lr0", "batch"}
        assert record.seconds > 0
        assert record.log


def test_a_crash_is_a_record_and_the_sweep_goes_on(tmp_path):
    space = read_space({"lr0": {"log": [0.001, 0.01]}, "batch": {"choice": [8, 64]}})
    study.run(make_job(tmp_path, make_sweep(space=space, trials=8, seed=1)))
    records = read_records(tmp_path)
    assert len(records) == 8
    for record in records:
        assert record.state == (FAILED if record.params["batch"] == 64 else COMPLETED)
        if record.state == FAILED:
            assert record.reason == "out of memory"
            assert record.error.startswith("MemoryError: CUDA out of memory")
            assert record.returncode == 1
    assert {record.state for record in records} == {FAILED, COMPLETED}


def test_a_configuration_that_never_works_is_not_tried_for_long(tmp_path):
    space = read_space({"batch": {"choice": [64, 128]}})
    with pytest.raises(SweepError, match=r"first 3 trials all failed.*out of memory"):
        study.run(make_job(tmp_path, make_sweep(space=space, trials=50)))
    assert len(read_records(tmp_path)) == 3


def test_a_hopeless_trial_is_stopped(tmp_path):
    # Above 0.05 a trial hangs after its second epoch: only the pruner ends it.
    space = read_space({"lr0": {"choice": [0.003, 0.0031, 29.0]}})
    sweep = make_sweep(space=space, trials=4, pruner=Pruner("median", startup_trials=1, min_epochs=1))
    job = make_job(tmp_path, sweep)
    opened = study.open_study(job.sweep, job.folder)
    for lr0 in ("0.003", "0.003", "0.0031", "29.0"):
        opened.enqueue_trial({"lr0": lr0})
    study.run(job)
    *_, hopeless = read_records(tmp_path)
    assert (hopeless.state, hopeless.params["lr0"], len(hopeless.epochs)) == (PRUNED, 29.0, 2)
    assert hopeless.reason == "stopped after epoch 2: worse than the others"


def test_hyperband_knows_how_long_a_trial_is(tmp_path):
    job = make_job(tmp_path, make_sweep(settings={"epochs": 27}, pruner=Pruner("hyperband", min_epochs=1)))
    pruner = study.open_study(job.sweep, job.folder).pruner
    assert isinstance(pruner, optuna.pruners.HyperbandPruner)
    assert (pruner._min_resource, pruner._max_resource) == (1, 27)


def test_a_trial_that_hangs_is_stopped_by_the_clock(tmp_path):
    space = read_space({"lr0": {"float": [28.0, 29.0]}})
    study.run(make_job(tmp_path, make_sweep(space=space, trials=1, timeout_minutes=0.02)))
    (record,) = read_records(tmp_path)
    assert (record.state, record.reason) == (FAILED, "took longer than 0.02 minutes")


def test_a_killed_sweep_takes_its_trial_with_it_and_resumes(tmp_path):
    (tmp_path / "prepared" / "slow").mkdir(parents=True)
    sweeper = spawn(tmp_path, 2)
    pid = tmp_path / "trials" / "0000" / "pid"
    wait_for(lambda: pid.exists() and pid.read_text(), "a trial")
    os.kill(sweeper.pid, signal.SIGKILL)
    sweeper.wait()
    wait_for(lambda: not psutil.pid_exists(int(pid.read_text())), "the end of the orphaned trial")
    (interrupted,) = read_records(tmp_path)
    assert interrupted.state == INTERRUPTED

    (tmp_path / "prepared" / "slow").rmdir()
    study.run(make_job(tmp_path, make_sweep(trials=2)))
    first, second = read_records(tmp_path)
    assert (first.state, first.attempts, first.params) == (COMPLETED, 2, interrupted.params)
    assert (second.state, second.attempts) == (COMPLETED, 1)


def test_a_finished_sweep_can_be_given_more_trials(tmp_path):
    study.run(make_job(tmp_path, make_sweep(trials=2)))
    before = read_records(tmp_path)
    study.run(make_job(tmp_path, make_sweep(trials=2)))
    assert read_records(tmp_path) == before
    study.run(make_job(tmp_path, make_sweep(trials=3)))
    assert read_records(tmp_path)[:2] == before
    assert len(read_records(tmp_path)) == 3


def test_two_processes_share_one_study(tmp_path):
    workers = [spawn(tmp_path, 7) for _ in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    records = read_records(tmp_path)
    assert [record.state for record in records] == [COMPLETED] * 7
    assert len({record.params["lr0"] for record in records}) == 7, "two processes must not draw alike"


def test_a_database_serves_as_well(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    job = make_job(tmp_path, make_sweep(trials=2))
    start.run(job, storage, lambda record: None)
    assert len(study.open_study(job.sweep, job.folder, storage).get_trials()) == 2
    assert not (tmp_path / study.JOURNAL).exists()


def test_the_same_seed_draws_the_same_settings(tmp_path):
    drawn = []
    for name in ("a", "b"):
        study.run(make_job(tmp_path / name, make_sweep(trials=2, seed=5)))
        drawn.append([record.params for record in read_records(tmp_path / name)])
    assert drawn[0] == drawn[1]


def test_another_sweep_does_not_go_into_the_same_folder(tmp_path):
    make_job(tmp_path)
    with pytest.raises(SweepError, match="another seed"):
        make_job(tmp_path, make_sweep(seed=3))
