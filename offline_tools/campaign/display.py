# SPDX-License-Identifier: AGPL-3.0-only
"""Shows how a campaign goes: a line for each phase that starts or ends, and below them what runs, with time left."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from offline_tools.campaign.forecast import clock, time_left
from offline_tools.campaign.history import Clocked, expected_seconds, recall
from offline_tools.campaign.runner import Progress, State
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.steps.train import epochs_done

_STYLES = {State.DONE: "green", State.FAILED: "red", State.BLOCKED: "yellow"}
_REFRESH_S = 1.0
# Without a terminal, where each look is a line of a log.
_LINE_EVERY_S = 60.0


class Display:
    """A `runner.Listener` that writes to a console."""

    def __init__(self, console: Console, root: Path, slots: Slots, selected: Collection[str]) -> None:
        self._console, self._root, self._slots, self._selected = console, root, slots, selected
        self._history: list[Clocked] = []
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._next = time.monotonic() + (_REFRESH_S if self._live else _LINE_EVERY_S)

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def changed(self, one: Progress) -> None:
        """Says what became of a phase; of those that nobody asked for, nothing."""
        if one.state in (State.UNSELECTED, State.FRESH) or one.phase.name not in self._selected:
            return
        place = f" on {one.device}" if one.state is State.RUNNING else ""
        text = f"{one.state.value:>9}  {one.phase.name}{place}: {one.reason}"
        self._console.print(text, style=_STYLES.get(one.state), markup=False, highlight=False, soft_wrap=True)

    def tick(self, everything: Sequence[Progress]) -> None:
        """Refreshes what runs, now and then."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (_REFRESH_S if self._live else _LINE_EVERY_S)
        self._history = recall(self._root)
        everything = [one for one in everything if one.phase.name in self._selected]
        running = [(one, *self._look(one)) for one in everything if one.state is State.RUNNING]
        rest = self._rest(everything, {one.phase.name: seconds for one, _, seconds in running})
        ended = sum(one.state.ended for one in everything)
        head = f"{ended} of {len(everything)} phases behind us, {rest} left"
        if self._live:
            table = Table.grid(padding=(0, 2))
            for one, what, seconds in running:
                table.add_row(one.phase.name, one.device, what, f"{clock(seconds)} left")
            table.add_row(head)
            self._live.update(table, refresh=True)
            return
        now = ", ".join(f"{one.phase.name} {what} ({clock(seconds)} left)" for one, what, seconds in running)
        self._console.print(f"{head}: {now}", markup=False, highlight=False, soft_wrap=True)

    def _look(self, one: Progress) -> tuple[str, float | None]:
        """How far a running phase is, and the seconds that it still needs."""
        spent = one.seconds_before + time.monotonic() - one.started
        expected = expected_seconds(one.phase, self._history)
        if one.phase.step == "train":
            done, epochs = epochs_done(self._root / "phases" / one.phase.name, dict(one.phase.settings))
            if done:
                expected = spent / done * epochs
            what = f"{done} of {epochs} epochs"
        else:
            what = f"for {clock(spent)}"
        return what, None if expected is None else max(0.0, expected - spent)

    def _rest(self, everything: Sequence[Progress], running: dict[str, float | None]) -> str:
        open_ones = [one.phase for one in everything if not one.state.ended]
        expected = {phase.name: expected_seconds(phase, self._history) for phase in open_ones} | running
        seconds = {name: value or 0.0 for name, value in expected.items()}
        rest = time_left(open_ones, seconds, self._slots, {name: seconds[name] for name in running})
        return ("more than " if None in expected.values() else "about ") + clock(rest)
