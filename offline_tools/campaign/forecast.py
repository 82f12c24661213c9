# SPDX-License-Identifier: AGPL-3.0-only
"""How long the rest of a campaign will take, by playing its schedule through with the times of earlier phases."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace

from offline_tools.campaign.phase import Phase
from offline_tools.campaign.slots import Slots


def time_left(
    phases: Sequence[Phase],
    seconds: Mapping[str, float],
    slots: Slots,
    running: Mapping[str, float] | None = None,
) -> float:
    """Seconds until the last of `phases` ends.

    phases: what still must run or runs, in the order in which they start; other needs count as met.
    seconds: of each that waits. running: seconds that each running one still needs.
    """
    slots = replace(slots, _taken={}, _cpu=set(), _alone="")
    waiting = {phase.name: phase for phase in phases}
    ends: list[tuple[float, str]] = []
    for name, left in (running or {}).items():
        slots.take(waiting.pop(name))
        heapq.heappush(ends, (left, name))
    now = 0.0
    busy = {name for _, name in ends}
    while waiting or ends:
        for name, phase in list(waiting.items()):
            unmet = [need for need in phase.needs if need in waiting or need in busy]
            if not unmet and slots.take(phase) is not None:
                del waiting[name]
                busy.add(name)
                heapq.heappush(ends, (now + seconds.get(name, 0.0), name))
        if not ends:
            break
        now, done = heapq.heappop(ends)
        busy.discard(done)
        slots.free(done)
    return now


def clock(seconds: float | None) -> str:
    """A time as people say it: "45 s", "12 min", "3.5 h"; "?" where it is not known."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
