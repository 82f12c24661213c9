# SPDX-License-Identifier: AGPL-3.0-only
"""A sweep by Optuna: one study that several processes, or machines on one file system, work on together."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from offline_tools.sweep import SweepError
from offline_tools.sweep.config import Sweep
from offline_tools.sweep.record import COMPLETED, FAILED, LOCK, PRUNED, TrialRecord, trial_folder, try_lock, wait_lock
from offline_tools.sweep.runner import Job, hold_trial, run_trial
from offline_tools.sweep.space import decode, distributions

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
_TURN = "turn"
# An attribute of a trial that takes over the folder, and so the checkpoint, of one that was killed.
_FOLDER = "folder"
# An attribute of a trial that was given back before it began.
_SURPLUS = "surplus"
# So many failures in a row, and nothing else, are a fault of the configuration rather than of the settings tried.
_HOPELESS = 3


def run(job: Job, storage: str = "", ended: Callable[[TrialRecord], None] = lambda _: None) -> None:
    """Runs trials until the study has as many as the sweep asks for; returns when this process finds none to start.

    storage: a database's URL (sqlite:///…, postgresql://…) instead of a journal file in the sweep's folder.
    ended: told of each trial that this process ran. Trials of killed processes are taken over first.
    Raises SweepError where the first trials all fail.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(job.sweep, job.folder, storage)
    turn = job.folder / _TURN
    with wait_lock(turn):
        take_over(study, job)
    failures = []
    while True:
        with contextlib.ExitStack() as held:
            # One process at a time, until its trial is visibly held: nobody takes over what is about to start.
            with wait_lock(turn):
                trial = _next(study, job.sweep)
                if trial is None:
                    return
                number = trial.user_attrs.get(_FOLDER, trial.number)
                held.enter_context(hold_trial(job, number))
            record = run_trial(job, number, decode(job.sweep.space, trial.params), _reporter(trial))
            _tell(study, trial, record)
        ended(record)
        failures.append(record.state == FAILED)
        if len(failures) == _HOPELESS and all(failures):
            raise SweepError(f"the first {_HOPELESS} trials all failed, the last one: {record.reason}: {record.error}")


def open_study(sweep: Sweep, folder: Path, storage: str = "") -> optuna.Study:
    """Creates the study, or joins the one that is there.

    The process that creates it draws by the sweep's seed. One that joins draws by chance, or it would try the same
    settings as the first.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    kept = storage or JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    pruner = _pruner(sweep)
    try:
        study = optuna.create_study(
            storage=kept,
            study_name=sweep.name,
            direction="maximize",
            pruner=pruner,
            sampler=optuna.samplers.TPESampler(seed=sweep.seed),
        )
    except optuna.exceptions.DuplicatedStudyError:
        sampler = optuna.samplers.TPESampler(seed=secrets.randbits(32))
        study = optuna.load_study(storage=kept, study_name=sweep.name, sampler=sampler, pruner=pruner)
    return study


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    import optuna

    asked = sweep.pruner
    if asked.kind == "none":
        return optuna.pruners.NopPruner()
    if asked.kind == "median":
        return optuna.pruners.MedianPruner(asked.startup_trials, n_warmup_steps=asked.min_epochs)
    return optuna.pruners.HyperbandPruner(min_resource=asked.min_epochs, max_resource=sweep.epochs)


def take_over(study: optuna.Study, job: Job) -> list[int]:
    """Queues the trials of killed processes again, in their old folders; returns the numbers of those folders."""
    from optuna.trial import TrialState

    found = []
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        number = trial.user_attrs.get(_FOLDER, trial.number)
        lock = trial_folder(job.folder, number) / LOCK
        if not lock.exists():
            continue  # on a machine with a folder of its own, or about to start
        with try_lock(lock) as free:
            # Another process may have taken it over since: told twice, Optuna says no.
            if free and study.get_trials()[trial.number].state == TrialState.RUNNING:
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params, {_FOLDER: number})
                found.append(number)
    return found


def _next(study: optuna.Study, sweep: Sweep) -> optuna.Trial | None:
    """The next trial, None where the study has as many as it should."""
    from optuna.trial import TrialState

    if not _places(study, sweep):
        return None
    trial = study.ask(distributions(sweep.space))
    # Two processes may both have seen the last free place: the later one gives its trial back.
    if _FOLDER not in trial.user_attrs and trial.number not in _first(study, sweep):
        trial.set_user_attr(_SURPLUS, True)
        study.tell(trial, state=TrialState.FAIL)
        return None
    return trial


def _places(study: optuna.Study, sweep: Sweep) -> bool:
    from optuna.trial import TrialState

    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return bool(waiting) or len(_first(study, sweep)) < sweep.trials


def _first(study: optuna.Study, sweep: Sweep) -> list[int]:
    """The numbers of the trials that the sweep asks for; a trial that took over another's folder is no new one."""
    marks = {_FOLDER, _SURPLUS}
    numbers = [trial.number for trial in study.get_trials(deepcopy=False) if not marks & set(trial.user_attrs)]
    return numbers[: sweep.trials]


def _reporter(trial: optuna.Trial) -> Callable[[int, float], bool]:
    def report(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return trial.should_prune()

    return report


def _tell(study: optuna.Study, trial: optuna.Trial, record: TrialRecord) -> None:
    from optuna.trial import TrialState

    if record.state == COMPLETED:
        study.tell(trial, record.value)
    else:
        study.tell(trial, state=TrialState.PRUNED if record.state == PRUNED else TrialState.FAIL)
