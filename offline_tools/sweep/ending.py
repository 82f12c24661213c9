# SPDX-License-Identifier: AGPL-3.0-only
"""Why a trial ended, from its exit code and the end of its log."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

OUT_OF_MEMORY, DIVERGED, ERROR = "out of memory", "diverged", "error"

_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|MemoryError|can't allocate memory|Cannot allocate memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)
_DIVERGED = re.compile(r"NaN persisted|loss is nan", re.IGNORECASE)
_ERROR = re.compile(r"^(cone-tools \w+: |(\w+\.)*\w*(Error|Exception|Interrupt)\b)|terminate called|Segmentation fault")
_DEVICE = re.compile(r"\b((?:CUDA:[\d,]+|CPU|MPS) \(.*\))\s*$")
_REDUCED = re.compile(r"out of memory with batch=(\d+)\. Reducing to batch=(\d+)", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What differs from one crash to the next of the same kind.
_VARYING = re.compile(r"0x[0-9a-f]+|(?:/[\w.+-]+){2,}|\d+(?:\.\d+)?", re.IGNORECASE)
_TAIL_BYTES = 65536


def log_lines(file: Path) -> list[str]:
    """The lines at the end of a log, as a terminal would have left them: a progress bar counts by its last state."""
    if not file.exists():
        return []
    with file.open("rb") as handle:
        handle.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        text = handle.read().decode(errors="replace")
    lines = (_ESCAPES.sub("", line).rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n"))
    return [line for line in lines if line]


def why(returncode: int, lines: Sequence[str]) -> str:
    """The reason of a failure in words: "out of memory", "diverged", "killed by SIGKILL" or "error"."""
    text = "\n".join(lines[-50:])
    # A batch that the trainer halved itself is no reason for what came later.
    if _MEMORY.search(_REDUCED.sub("", text)):
        return OUT_OF_MEMORY
    if _DIVERGED.search(text):
        return DIVERGED
    if returncode < 0:
        try:
            return f"killed by {signal.Signals(-returncode).name}"
        except ValueError:
            return f"killed by signal {-returncode}"
    return ERROR


def error_line(lines: Sequence[str]) -> str:
    """The last line that reads like an error; the last line of all where none does."""
    for line in reversed(lines):
        if _ERROR.search(line.strip()):
            return line.strip()
    return lines[-1].strip() if lines else ""


def alike(error: str) -> str:
    """An error without what differs between two of its kind: numbers, addresses, paths."""
    return _VARYING.sub("…", error)


def device(lines: Sequence[str]) -> str:
    """The device that ultralytics said it uses; empty where it said nothing."""
    found = [match.group(1) for line in lines if (match := _DEVICE.search(line))]
    return found[0] if found else ""


def notes(lines: Sequence[str]) -> list[str]:
    """What the trainer changed without being asked: a batch halved for lack of memory is no longer the trial's own."""
    return [
        f"the trainer reduced batch {match.group(1)} to {match.group(2)}, out of memory"
        for line in lines
        if (match := _REDUCED.search(line))
    ]
