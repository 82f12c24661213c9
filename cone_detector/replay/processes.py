# SPDX-License-Identifier: Apache-2.0
"""Child processes of a replay: the node and the player, started, watched and ended cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cone_detector.transport import PROFILE_VARIABLES, installed_profile

# Linux keeps ports for domains 0 to 101.
_DOMAINS = 100


class ReplayError(RuntimeError):
    """A replay that could not run; the message says which process failed and shows its last words."""


def ros_environment(own_domain: bool = True) -> dict[str, str]:
    """Variables for all processes of a replay: shared memory for images, and with own_domain this machine only.

    What the user has set stays. Without a ROS_DOMAIN_ID, own_domain takes one that other replays hardly use.
    """
    wanted = dict.fromkeys(PROFILE_VARIABLES, str(installed_profile()))
    if own_domain:
        wanted["ROS_DOMAIN_ID"] = str(1 + os.getpid() % _DOMAINS)
        wanted["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return {name: os.environ.get(name) or value for name, value in wanted.items()}


class Child:
    """A Python module that runs as a process of its own, with both outputs in a log file."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], log: Path, variables: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches this process only, which then ends its children in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises ReplayError with the end of the log where the process has ended with a fault."""
        code = self._process.poll()
        if code not in (None, 0):
            raise ReplayError(f"{self.name} ended with code {code}; {self.log} says:\n{self.last_words()}")

    def events(self) -> dict[str, dict[str, Any]]:
        """What the process has told so far: JSON objects, by their field `event`."""
        found = {}
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith('{"event"'):
                event = json.loads(line)
                found[event.pop("event")] = event
        return found

    def last_words(self, lines: int = 15) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end(self, patience_s: float = 5.0) -> float:
        """Asks the process to end, and kills it where it does not; returns the seconds it took."""
        begin = time.monotonic()
        if self.running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return time.monotonic() - begin


def end_children_on_sigterm() -> None:
    """Makes SIGTERM unwind this process as Ctrl-C does, so that no child outlives it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def running(
    name: str, module: str, arguments: Sequence[str], log: Path, variables: Mapping[str, str]
) -> Iterator[Child]:
    """A child that ends with the block, whatever happens in it, a signal at any moment included."""
    child: Child | None = None
    try:
        with _signals_held():
            child = Child(name, module, arguments, log, variables)
        yield child
    finally:
        if child is not None:
            child.end()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Delivers SIGINT and SIGTERM only after the block: an exception amid a fork would lose the child that was made."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda number, _: held.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        for late in held:
            signal.raise_signal(late)
