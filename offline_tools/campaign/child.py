# SPDX-License-Identifier: AGPL-3.0-only
"""A phase as a process of its own: a crash of one does not take the campaign down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from offline_tools.campaign.records import LOG
from offline_tools.campaign.slots import CPU

_GRACE_S = 5.0
_TETHER = Path(__file__).with_name("tether.py")
_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """The process of one phase; its output goes to the phase's log."""

    def __init__(self, folder: Path, device: str) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            # Trainings that start together would write the same settings file of ultralytics at once.
            "YOLO_CONFIG_DIR": str((folder / ".ultralytics").resolve()),
        }
        if device != CPU:
            environment["CUDA_VISIBLE_DEVICES"] = device
        # A script, not a module: the tie must be there before anything slow is imported.
        command = [sys.executable, str(_TETHER), str(os.getpid())]
        command += [sys.executable, "-m", "offline_tools.campaign.step", str(folder)]
        self.folder = folder
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ends the process and all that it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            end = time.monotonic() + _GRACE_S
            while self.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
        self._process.wait()


def last_words(folder: Path, lines: int = 3) -> str:
    """The end of a phase's log, for a message."""
    try:
        with (folder / LOG).open(errors="replace") as file:
            return " | ".join(line.strip() for line in deque(file, lines) if line.strip())
    except OSError:
        return "no log"
