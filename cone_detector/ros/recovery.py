# SPDX-License-Identifier: Apache-2.0
"""What the node does after its engine failed: it makes it anew, or goes on with the CPU where the GPU is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic

from cone_detector.engine.select import on_cpu
from cone_detector.ros.loading import Loaded
from cone_detector.settings import Settings

# The frame that was in work when engines changed may still fail with the old one.
_SETTLE_S = 1.0
# Where nothing could be loaded, loading is not tried again at once: it takes the CPU from whatever else runs.
_REST_S = 10.0
# An engine that fails so soon after it was made anew is not made anew again.
_PROVEN_S = 60.0


class SessionEndedError(Exception):
    """What an engine was loaded for is gone: the node was cleaned up meanwhile."""


class Recovery:
    """One recovery at a time; `note` is for the inference thread, `run` for the executor's."""

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float] = monotonic) -> None:
        """wake: called once for each fault that is to be dealt with, which `run` then does. clock: seconds."""
        self._wake = wake
        self._clock = clock
        self._fault = ""
        self._quiet_until = 0.0
        self._replaced_at = float("-inf")

    def note(self, error: Exception) -> None:
        """Notes that the engine failed."""
        if not self._fault and self._clock() >= self._quiet_until:
            self._fault = str(error)
            self._wake()

    async def run(
        self, settings: Settings, begin: Callable[[Settings], Awaitable[Loaded]], use: Callable[[Loaded], None]
    ) -> str:
        """Loads another engine and puts it to use; returns what was done, in one line.

        begin: starts to load what some settings ask for. use: raises where an engine cannot be put to use. Where one of
        them raises SessionEndedError there is nothing left to recover, and the line is empty.
        """
        fault, failures = self._fault, []
        for wanted in self._attempts(settings):
            try:
                loaded = await begin(wanted)
                use(loaded)
            except SessionEndedError:
                self.dismiss()
                return ""
            except Exception as error:  # whatever it is, the next attempt may do
                failures.append(str(error))
                continue
            self._end(_SETTLE_S)
            self._replaced_at = self._clock()
            return f"went on with {loaded[1]}, on {loaded[0].device}, after: {fault}"
        self._end(_REST_S)
        return f"no engine can replace the one that failed ({fault}): {'; '.join(failures)}; restart the node"

    def dismiss(self) -> None:
        """Forgets the fault that `run` would deal with: what failed is gone."""
        self._end(0.0)

    def _end(self, quiet_s: float) -> None:
        self._quiet_until = self._clock() + quiet_s
        self._fault = ""

    def _attempts(self, settings: Settings) -> list[Settings]:
        """What to load, in this order: what the settings ask for, then a CPU engine where they leave it open."""
        instead = on_cpu(settings)
        if instead is None:
            return [settings]
        failed_again = self._clock() - self._replaced_at < _PROVEN_S
        return [instead] if failed_again else [settings, instead]
