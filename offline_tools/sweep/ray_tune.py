# SPDX-License-Identifier: AGPL-3.0-only
"""A sweep by Ray Tune, on one machine or on a Ray cluster that sees the sweep's folder.

Ray places the trials: as many at once as it finds GPUs, or one where there is none. Optuna's TPE proposes settings
inside Ray as well. A sweep that was killed is restored from Ray's own experiment folder.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from offline_tools.sweep import SweepError
from offline_tools.sweep.config import Sweep
from offline_tools.sweep.record import FAILED, INTERRUPTED, RUNNING, TRIALS, TrialRecord, read_records, trial_folder
from offline_tools.sweep.runner import Job, hold_trial, run_trial
from offline_tools.sweep.space import decode, distributions

_EXPERIMENT = "ray"
_RAY_ID = "ray_id"
_VALUE, _EPOCH = "value", "epoch"


class Trial(tune.Trainable):
    """One trial as Ray sees it: a step is an epoch. The process is watched by a thread that Ray's verdicts reach."""

    def setup(self, config: Mapping[str, Any], job: Job) -> None:
        """Starts or resumes the trial with the settings that the search proposed."""
        self._epochs: queue.Queue[tuple[int, float] | TrialRecord | Exception] = queue.Queue()
        self._verdicts: queue.Queue[bool] = queue.Queue()
        self._asked = False
        self._over = threading.Event()
        number = _number(job.folder, self.trial_id)
        params = decode(job.sweep.space, config)
        self._thread = threading.Thread(target=self._run, args=(job, number, params))
        self._thread.start()

    def _run(self, job: Job, number: int, params: Mapping[str, Any]) -> None:
        try:
            with hold_trial(job, number):
                record = run_trial(job, number, params, self._report)
            self._epochs.put(record)
        except Exception as error:
            self._epochs.put(error)

    def _report(self, epoch: int, value: float) -> bool:
        self._epochs.put((epoch, value))
        return self._over.is_set() or self._verdicts.get()

    def step(self) -> dict[str, Any]:
        """Waits for the next epoch, or the end. Raises RuntimeError where the trial failed."""
        if self._asked:
            self._verdicts.put(False)
        news = self._epochs.get()
        self._asked = isinstance(news, tuple)
        if isinstance(news, tuple):
            return {_EPOCH: news[0], _VALUE: news[1]}
        if isinstance(news, Exception):
            raise news
        if news.state == FAILED:
            raise RuntimeError(f"trial {news.number}: {news.reason}: {news.error}")
        return {_EPOCH: len(news.epochs), _VALUE: news.value, "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing: the trainer keeps its own checkpoints in the trial's folder."""
        return {}

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: `setup` has resumed the trial."""

    def cleanup(self) -> None:
        """Stops the process where Ray has seen enough, and leaves the record."""
        self._over.set()
        self._verdicts.put(True)
        self._thread.join()


class _Median(FIFOScheduler):
    """Stops a trial whose best epoch so far is worse than the median of the finished trials at the same epoch.

    As Optuna's MedianPruner. Ray's own MedianStoppingRule pauses trials while it knows too few others, and a training
    that pauses is one that is killed and resumed.
    """

    def __init__(self, startup_trials: int, min_epochs: int) -> None:
        super().__init__()
        self._startup_trials, self._min_epochs = startup_trials, min_epochs
        self._running: dict[str, dict[int, float]] = {}
        self._finished: dict[str, dict[int, float]] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        epoch, own = int(result[_EPOCH]), self._running.setdefault(trial.trial_id, {})
        own[epoch] = float(result[_VALUE])
        others = [values[epoch] for values in self._finished.values() if epoch in values]
        if epoch <= self._min_epochs or len(self._finished) < self._startup_trials or not others:
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP if max(own.values()) < np.median(others) else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        self._finished[trial.trial_id] = self._running.pop(trial.trial_id, {})


class _Tell(tune.Callback):
    def __init__(self, folder: Path, ended: Callable[[TrialRecord], None]) -> None:
        self._folder, self._ended, self._told = folder, ended, _ended(folder)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.tell()

    on_trial_error = on_trial_complete

    def tell(self) -> None:
        """Passes on what has ended since the last time."""
        for record in read_records(self._folder):
            if record.number in _ended(self._folder) - self._told:
                self._told.add(record.number)
                self._ended(record)


def run(job: Job, ended: Callable[[TrialRecord], None]) -> None:
    """Runs or resumes the sweep; returns when it is finished. `ended` is told of each trial.

    Joins the cluster of the environment variable RAY_ADDRESS; without it Ray starts on this machine. Raises SweepError
    where Ray finished fewer trials than the sweep asks for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    try:
        resources = _resources(job.device)
        trainable = tune.with_resources(tune.with_parameters(Trial, job=job), resources)
        experiment = job.folder / _EXPERIMENT
        if tune.Tuner.can_restore(str(experiment)):
            tune.Tuner.restore(str(experiment), trainable).fit()
        else:
            tell = _Tell(job.folder, ended)
            _tuner(job, trainable, tell).fit()
            # Ray may say that a trial ended before its record is written.
            tell.tell()
    finally:
        ray.shutdown()
    done = len(_ended(job.folder))
    if done < job.sweep.trials:
        raise SweepError(f"Ray ended {done} of {job.sweep.trials} trials; it cannot add trials to a sweep that began")


def _tuner(job: Job, trainable: Any, tell: tune.Callback) -> tune.Tuner:
    sweep = job.sweep
    search = OptunaSearch(space=distributions(sweep.space), metric=_VALUE, mode="max", seed=sweep.seed)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric=_VALUE, mode="max", search_alg=search, scheduler=_scheduler(sweep), num_samples=sweep.trials
        ),
        run_config=tune.RunConfig(name=_EXPERIMENT, storage_path=str(job.folder), verbose=0, callbacks=[tell]),
    )


def _scheduler(sweep: Sweep) -> TrialScheduler:
    asked = sweep.pruner
    if asked.kind == "none":
        return FIFOScheduler()
    if asked.kind == "median":
        return _Median(asked.startup_trials, asked.min_epochs)
    return ASHAScheduler(_EPOCH, max_t=sweep.epochs, grace_period=asked.min_epochs, reduction_factor=3)


def _resources(device: str) -> dict[str, float]:
    """What one trial takes: a GPU and its share of the cores, or all cores of a machine without one."""
    total = ray.cluster_resources()
    gpus = 0.0 if device == "cpu" else total.get("GPU", 0.0)
    if gpus:
        return {"cpu": max(1.0, total["CPU"] // gpus), "gpu": 1.0}
    return {"cpu": min(node["Resources"].get("CPU", 1.0) for node in ray.nodes() if node["Alive"])}


def _number(folder: Path, ray_id: str) -> int:
    """The number of the folder that belongs to Ray's trial; the next free one for a new trial."""
    for known in (folder / TRIALS).glob(f"*/{_RAY_ID}"):
        if known.read_text() == ray_id:
            return int(known.parent.name)
    for number in itertools.count():
        try:
            # Two machines may both look: one of them makes the folder.
            trial_folder(folder, number).mkdir()
        except FileExistsError:
            continue
        (trial_folder(folder, number) / _RAY_ID).write_text(ray_id)
        return number
    raise AssertionError("numbers do not end")


def _ended(folder: Path) -> set[int]:
    return {record.number for record in read_records(folder) if record.state not in (RUNNING, INTERRUPTED)}
