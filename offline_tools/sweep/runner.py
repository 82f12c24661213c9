# SPDX-License-Identifier: AGPL-3.0-only
"""One trial: `cone-tools train` in a process of its own, watched epoch by epoch."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import dataclasses
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from offline_tools.sweep import SweepError, ending
from offline_tools.sweep.config import METRICS, Sweep, trial_config
from offline_tools.sweep.record import (
    COMPLETED,
    CONFIG,
    FAILED,
    LOCK,
    LOG,
    PRUNED,
    RECORD,
    TrialRecord,
    read_record,
    trial_folder,
    try_lock,
    write_record,
)

TRAIN = (sys.executable, "-m", "offline_tools.cli", "train")

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0
_LOG_LINES = 30
_PR_SET_PDEATHSIG = 1

# Told of each finished epoch (counted from 1) and its metric; True stops the trial.
Report = Callable[[int, float], bool]


@dataclass(frozen=True)
class Job:
    """What the trials of one process share.

    folder: of the sweep. data: prepared by `prepare`. registry: of test images. device: as --device, or empty.
    command: what is run with a configuration and the options of `cone-tools train`, in `directory`.
    """

    sweep: Sweep
    folder: Path
    data: Path
    registry: Path
    device: str = ""
    command: Sequence[str] = TRAIN
    directory: Path = field(default_factory=Path.cwd)


@contextlib.contextmanager
def hold_trial(job: Job, number: int) -> Iterator[None]:
    """Makes trial `number` this process's own while the context lasts. Raises SweepError where another one holds it."""
    folder = trial_folder(job.folder, number)
    folder.mkdir(parents=True, exist_ok=True)
    with try_lock(folder / LOCK) as free:
        if not free:
            raise SweepError(f"another process runs the trial in {folder}")
        yield


def run_trial(job: Job, number: int, params: Mapping[str, Any], report: Report) -> TrialRecord:
    """Runs trial `number`, which the caller holds, with `params` to its end, however it ends; returns its record.

    A trial that a kill interrupted goes on from its checkpoint. A crash of the trial is a record, never an exception.
    """
    folder = trial_folder(job.folder, number)
    record = TrialRecord(
        number,
        dict(params),
        job.sweep.metric,
        host=platform.node(),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if (folder / RECORD).exists():
        before = read_record(job.folder, number)
        record = dataclasses.replace(record, attempts=before.attempts + 1, seconds=before.seconds)
    write_record(job.folder, record)
    config = yaml.safe_dump(trial_config(job.sweep, folder.name, params), sort_keys=False)
    (folder / CONFIG).write_text(config)
    start = time.monotonic()
    returncode, stopped = _watch(job, folder, report)
    record = _ended(job, folder, record, returncode, stopped)
    record = dataclasses.replace(record, seconds=round(record.seconds + time.monotonic() - start, 1))
    write_record(job.folder, record)
    return record


def _watch(job: Job, folder: Path, report: Report) -> tuple[int, str]:
    """Runs the trial's process; returns its exit code and why it was stopped ("" where it ended by itself)."""
    command = [*job.command, str(folder / CONFIG), "--runs", str(job.folder), "--data", str(job.data)]
    command += ["--registry", str(job.registry), "--resume"]
    command += ["--device", job.device] if job.device else []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "WANDB_RUN_GROUP": job.sweep.name}
    limit = job.sweep.timeout_minutes * 60 or math.inf
    start = time.monotonic()
    told = 0
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=job.directory,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        while True:
            ended = process.poll() is not None
            rows = read_epochs(folder / "results.csv")
            for row in rows[told:]:
                told += 1
                value = row[METRICS[job.sweep.metric]]
                if not math.isfinite(value) or not report(int(row["epoch"]), value):
                    continue
                # After its last epoch a trial only writes its files; and a verdict may come late.
                if row["epoch"] < job.sweep.epochs and process.poll() is None:
                    return 0, PRUNED
            if ended:
                return process.returncode, ""
            if time.monotonic() - start > limit:
                return 0, f"took longer than {job.sweep.timeout_minutes:g} minutes"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
    finally:
        _stop(process)


def _die_with_parent() -> None:
    # A sweep that is killed outright must not leave its trial on the GPU: Linux then ends the trial as well.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the trial's whole process group: the loaders' workers and, on several GPUs, one process each."""
    for kill in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kill)
        except ProcessLookupError:
            break
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _ended(job: Job, folder: Path, record: TrialRecord, returncode: int, stopped: str) -> TrialRecord:
    lines = ending.log_lines(folder / LOG)
    epochs = read_epochs(folder / "results.csv")
    metric = METRICS[job.sweep.metric]
    measured = [row for row in epochs if math.isfinite(row[metric])]
    best = max(measured, key=lambda row: row[metric], default=None)
    error = ""
    if stopped == PRUNED:
        state, reason = PRUNED, f"stopped after epoch {int(epochs[-1]['epoch'])}: worse than the others"
    elif stopped:
        state, reason = FAILED, stopped
    elif returncode == 0 and best is not None:
        state, reason = COMPLETED, "all epochs done"
    else:
        state = FAILED
        reason = ending.DIVERGED if returncode == 0 else ending.why(returncode, lines)
        error = ending.error_line(lines)
    return dataclasses.replace(
        record,
        state=state,
        reason=reason,
        value=None if best is None else best[metric],
        best_epoch=0 if best is None else int(best["epoch"]),
        epochs=epochs,
        device=ending.device(lines) or f"{job.device or platform.machine()} (as asked for)",
        returncode=None if stopped else returncode,
        error=error,
        notes=ending.notes(lines),
        log=lines[-_LOG_LINES:],
    )


def read_epochs(file: Path) -> list[dict[str, float]]:
    """The finished rows of ultralytics' results.csv; a row that is being written is left for the next time."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    rows = csv.DictReader(whole)
    return [{key.strip(): float(value) for key, value in row.items()} for row in rows]
