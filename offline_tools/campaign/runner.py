# SPDX-License-Identifier: AGPL-3.0-only
"""Carries a graph of phases out: what has changed, side by side, each once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Protocol

from cone_detector.engine.manifest import file_sha256
from offline_tools.campaign.child import Child, last_words
from offline_tools.campaign.freshness import Verdict, find_outputs, json_round, judge
from offline_tools.campaign.history import Clocked, remember
from offline_tools.campaign.phase import CampaignError, Phase, step_module
from offline_tools.campaign.records import FIGURES, Record, read_figures, read_record, write_record
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.surroundings import surroundings

_POLL_S = 0.05
# A killed run's record then tells how long it ran, to within this.
_HEARTBEAT_S = 30.0


class State(str, Enum):
    """Where a phase stands."""

    WAITING = "waiting"
    RUNNING = "running"
    FRESH = "unchanged"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    NOT_TAKEN = "not taken"
    UNSELECTED = "not selected"

    @property
    def ended(self) -> bool:
        return self not in (State.WAITING, State.RUNNING)

    @property
    def usable(self) -> bool:
        """Its outputs may be read."""
        return self in (State.FRESH, State.DONE)


@dataclass
class Progress:
    """What is known of one phase while the campaign runs."""

    phase: Phase
    state: State = State.WAITING
    reason: str = ""
    device: str = ""
    started: float = 0.0
    seconds_before: float = 0.0


class Listener(Protocol):
    """Shows how it goes."""

    def changed(self, one: Progress) -> None:
        """The state of a phase has changed."""

    def tick(self, everything: Sequence[Progress]) -> None:
        """Some time has passed."""


@dataclass
class Runner:
    """Runs phases in `root`. selected: only these may run. left_out: taken as if a gate had decided against them.

    forced: run these whatever their records say. phases: in the order in which they start where several could.
    """

    phases: Sequence[Phase]
    root: Path
    slots: Slots
    listener: Listener
    selected: frozenset[str]
    left_out: frozenset[str] = frozenset()
    forced: frozenset[str] = frozenset()
    _progress: dict[str, Progress] = field(default_factory=dict)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)
    _children: dict[str, tuple[Child, Record]] = field(default_factory=dict)

    def run(self, sleep: Callable[[float], None] = time.sleep) -> list[Progress]:
        """Runs what must run; returns where each phase stands at the end. An interrupt stops what runs."""
        self._progress = {phase.name: Progress(phase) for phase in self.phases}
        try:
            while not all(one.state.ended for one in self._progress.values()):
                for one in self._progress.values():
                    if one.state is State.WAITING:
                        self._consider(one)
                self._collect()
                self.listener.tick(list(self._progress.values()))
                if self._children:
                    sleep(_POLL_S)
        finally:
            for child, _ in self._children.values():
                child.stop()
        return list(self._progress.values())

    def _consider(self, one: Progress) -> None:
        """Starts a phase whose needs have ended, or finds that it need not or cannot run."""
        phase = one.phase
        needs = [self._progress[name] for name in phase.needs]
        if phase.name in self.left_out:
            self._end(one, State.NOT_TAKEN, "left out")
            return
        if not all(need.state.ended for need in needs):
            return
        if lost := [need for need in needs if need.state in (State.FAILED, State.BLOCKED, State.UNSELECTED)]:
            self._end_without(one, lost)
            return
        if reason := self._not_taken(phase):
            self._end(one, State.NOT_TAKEN, reason)
            return
        try:
            # Hashing once is enough: what it needs has ended.
            verdict = self._verdicts.get(phase.name) or judge(phase, self.root, self._gone())
            self._verdicts[phase.name] = verdict
        except ValueError as error:
            state = State.FAILED if phase.name in self.selected else State.UNSELECTED
            self._end(one, state, str(error))
            return
        if verdict.fresh and phase.name not in self.forced:
            self._end(one, State.FRESH, verdict.reason)
        elif phase.name not in self.selected:
            self._end(one, State.UNSELECTED, verdict.reason)
        elif (device := self.slots.take(phase)) is not None:
            if phase.name in self.forced:
                verdict = replace(verdict, resume=False, reason="forced")
            self._start(one, verdict, device)

    def _end_without(self, one: Progress, lost: Sequence[Progress]) -> None:
        names = ", ".join(f"{need.phase.name} ({need.state.value})" for need in lost)
        failed = one.phase.name in self.selected
        self._end(one, State.BLOCKED if failed else State.UNSELECTED, f"needs {names}")

    def _not_taken(self, phase: Phase) -> str:
        """Why a phase is not taken; empty where it is."""
        if phase.when and self._progress[phase.when.gate].state.usable:
            record = read_record(self._folder(phase.when.gate))
            decision = record.figures["decision"] if record else ""
            if decision not in phase.when.decisions:
                return f"{phase.when.gate} decided: {decision}"
        sources = {source.split("/", 1)[0] for source in phase.inputs.values()}
        gone = sources & self._gone()
        if gone and (not phase.collects or gone == sources):
            return f"without {', '.join(sorted(gone))}"
        return ""

    def _gone(self) -> frozenset[str]:
        return frozenset(name for name, one in self._progress.items() if one.state is State.NOT_TAKEN)

    def _start(self, one: Progress, verdict: Verdict, device: str) -> None:
        phase, folder = one.phase, self._folder(one.phase.name)
        before = read_record(folder) if verdict.resume else None
        if not verdict.resume:
            self._clear(folder, verdict.key)
        folder.mkdir(parents=True, exist_ok=True)
        # A step that dies after its figures were written must not pass for one that finished.
        (folder / FIGURES).unlink(missing_ok=True)
        machine, versions = surroundings()
        record = Record(
            phase.name,
            phase.step,
            step_module(phase).VERSION,
            "running",
            verdict.key,
            json_round(dict(phase.settings)),
            verdict.inputs,
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            seconds=before.seconds if before else 0.0,
            attempts=(before.attempts if before else 0) + 1,
            device=device,
            machine=machine,
            versions=versions,
            labels=dict(phase.labels),
        )
        write_record(folder, record)
        one.state, one.reason, one.device = State.RUNNING, verdict.reason, device
        one.started, one.seconds_before = time.monotonic(), record.seconds
        self._children[phase.name] = (Child(folder, device), record)
        self.listener.changed(one)

    def _clear(self, folder: Path, key: str) -> None:
        """Makes way for a new run. Results of other settings or inputs may have taken hours: they are set aside."""
        with suppress(CampaignError):
            record = read_record(folder)
            if record is not None and record.key != key:
                aside = self.root / "replaced" / f"{folder.name}-{record.key[:8]}"
                shutil.rmtree(aside, ignore_errors=True)
                aside.parent.mkdir(exist_ok=True)
                folder.rename(aside)
        shutil.rmtree(folder, ignore_errors=True)

    def _collect(self) -> None:
        """Looks after the phases that run."""
        for name, (child, record) in list(self._children.items()):
            one, code = self._progress[name], child.poll()
            seconds = one.seconds_before + time.monotonic() - one.started
            if code is None:
                if seconds - record.seconds > _HEARTBEAT_S:
                    record.seconds = round(seconds, 1)
                    write_record(child.folder, record)
                continue
            del self._children[name]
            self.slots.free(name)
            record.seconds = round(seconds, 1)
            self._finish(one, record, child.folder, code)

    def _finish(self, one: Progress, record: Record, folder: Path, code: int) -> None:
        error = ""
        if code:
            error = f"exit code {code}: {last_words(folder)}"
        else:
            try:
                files = find_outputs(one.phase, folder)
                record.outputs = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
                record.figures = read_figures(folder)
            except (CampaignError, OSError) as missing:
                error = str(missing)
        record.status, record.error = ("failed", error) if error else ("done", "")
        write_record(folder, record)
        if not error:
            remember(self.root, Clocked.of(record))
        self._end(one, State.FAILED if error else State.DONE, error or f"{record.seconds:.0f} s")

    def _end(self, one: Progress, state: State, reason: str) -> None:
        one.state, one.reason = state, reason
        self.listener.changed(one)

    def _folder(self, name: str) -> Path:
        return self.root / "phases" / name
