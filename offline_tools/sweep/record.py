# SPDX-License-Identifier: AGPL-3.0-only
"""What a trial leaves: trial.json in its folder, the one file that `analyze` reads."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offline_tools.sweep import SweepError
from offline_tools.sweep.config import TRIALS

RECORD, LOCK, CONFIG, LOG = "trial.json", "lock", "config.yaml", "train.log"
COMPLETED, PRUNED, FAILED, RUNNING, INTERRUPTED = "completed", "pruned", "failed", "running", "interrupted"


@dataclass(frozen=True)
class TrialRecord:
    """One trial. Figures are the trainer's, on val.

    state: "completed", "pruned", "failed", or "running" until then. reason: why it ended, in words.
    value: the swept metric of its best epoch, None where no epoch was finished. epochs: rows of results.csv.
    error: the last line that looks like an error. log: the last lines. attempts: starts, more than one after a kill.
    """

    number: int
    params: Mapping[str, Any]
    metric: str
    state: str = RUNNING
    reason: str = ""
    value: float | None = None
    best_epoch: int = 0
    epochs: Sequence[Mapping[str, float]] = ()
    seconds: float = 0.0
    device: str = ""
    host: str = ""
    started: str = ""
    attempts: int = 1
    returncode: int | None = None
    error: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    log: Sequence[str] = field(default_factory=tuple)


def trial_folder(folder: Path, number: int) -> Path:
    """Where trial `number` of the sweep in `folder` works; ultralytics writes to the same place."""
    return folder / TRIALS / f"{number:04d}"


def write_record(folder: Path, record: TrialRecord) -> None:
    """Writes a trial's record in one step, so that a kill leaves the old one or the new one."""
    write_json(trial_folder(folder, record.number) / RECORD, dataclasses.asdict(record))


def write_json(file: Path, values: object) -> None:
    """Writes JSON in one step."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    # Nothing but finite numbers is JSON; a loss that diverged is kept as null.
    temporary.write_text(json.dumps(_finite(values), indent=1, allow_nan=False) + "\n")
    os.replace(temporary, file)


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(key): _finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_finite(value) for value in values]
    if isinstance(values, float) and values - values != 0.0:
        return None
    return values


def read_record(folder: Path, number: int) -> TrialRecord:
    """Reads a trial's record. Raises SweepError where it is missing or no record."""
    file = trial_folder(folder, number) / RECORD
    try:
        return TrialRecord(**json.loads(file.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise SweepError(f"{file} is no record of a trial: {error}") from error


def read_records(folder: Path) -> list[TrialRecord]:
    """The records of all trials of a sweep. One that says running, but that nobody runs, is "interrupted"."""
    records = []
    for file in sorted((folder / TRIALS).glob(f"*/{RECORD}")):
        record = read_record(folder, int(file.parent.name))
        if record.state == RUNNING:
            with try_lock(file.with_name(LOCK)) as free:
                if free:
                    record = dataclasses.replace(record, state=INTERRUPTED, reason="the sweep was killed")
        records.append(record)
    return records


@contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Holds a lock while the context lasts; says whether it was free. The kernel frees the lock of a killed process."""
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def wait_lock(file: Path) -> Iterator[None]:
    """Holds a lock while the context lasts, after whoever holds it now."""
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
