# SPDX-License-Identifier: Apache-2.0
"""A thread for work that must not hold up callbacks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Does one job after the other; of those that come meanwhile the newest waits."""

    def __init__(self, name: str, work: Callable[[Job], None]) -> None:
        """work: must not raise."""
        self._work = work
        self._waiting: deque[Job] = deque(maxlen=1)
        self._stopped = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hands over a job; returns at once."""
        with self._condition:
            self._waiting.append(job)
            self._condition.notify()

    def stop(self) -> None:
        """Ends the thread after the job in work; those that wait are dropped."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._waiting)
                if self._stopped:
                    return
                job = self._waiting.popleft()
            self._work(job)
