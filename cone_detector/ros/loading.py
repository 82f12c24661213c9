# SPDX-License-Identifier: Apache-2.0
"""Loads engines in a thread: it takes seconds, and neither callbacks nor a signal may wait for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from rclpy.task import Future

from cone_detector.engine.contract import Engine
from cone_detector.settings import Settings

# An engine, and why it was chosen.
Loaded = tuple[Engine, str]
# Loads what the settings ask for. Raises EngineError or ManifestError.
Loader = Callable[[Settings], Loaded]

_POLL_S = 0.02


class StoppedError(Exception):
    """ROS was shut down while engines were loading."""


class EngineLoading:
    """Loads one set of engines after the other, also where nobody waits for the one before any more."""

    def __init__(self, load: Loader, wake: Callable[[], None]) -> None:
        """wake: wakes the executor, which a future that another thread sets does not do."""
        self._load = load
        self._wake = wake
        self._thread: Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether engines are being loaded now."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, settings: Settings) -> Future:
        """Starts to load; the future's result is what was loaded, or it raises why that failed."""
        future = Future()
        before = self._thread
        self._thread = Thread(target=self._run, args=(before, settings, future), name="engine loader", daemon=True)
        self._thread.start()
        return future

    def load(self, settings: Settings, go_on: Callable[[], bool]) -> Loaded:
        """Loads, and waits for it. Raises what the loader raises, or StoppedError once `go_on` is false."""
        future = self.begin(settings)
        while not future.done():
            if not go_on():
                raise StoppedError
            assert self._thread is not None
            self._thread.join(_POLL_S)
        return future.result()

    def _run(self, before: Thread | None, settings: Settings, future: Future) -> None:
        # Two loaders at once would compete for the GPU's memory and all cores.
        if before is not None:
            before.join()
        try:
            loaded = self._load(settings)
        except Exception as error:  # whatever it is, whoever waits for the engines is told
            future.set_exception(error)
        else:
            future.set_result(loaded)
        self._wake()
