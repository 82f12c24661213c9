# SPDX-License-Identifier: AGPL-3.0-only
"""Places for phases that run side by side: so many on each device, so many on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from offline_tools.campaign.phase import Phase

CPU = "cpu"


@dataclass
class Slots:
    """devices: GPU numbers, or "cpu" where trainings run there. A phase `alone` is given everything at once."""

    devices: Sequence[str] = (CPU,)
    jobs_per_device: int = 1
    cpu_jobs: int = 1
    _taken: dict[str, str] = field(default_factory=dict)
    _cpu: set[str] = field(default_factory=set)
    _alone: str = ""

    def take(self, phase: Phase) -> str | None:
        """The device for `phase`, the least busy one; "cpu" where it needs none; None where there is no place."""
        busy = bool(self._taken or self._cpu)
        if self._alone or (phase.alone and busy):
            return None
        device = CPU
        if phase.device:
            load = {name: sum(held == name for held in self._taken.values()) for name in self.devices}
            device = min(self.devices, key=lambda name: load[name])
            if load[device] >= self.jobs_per_device:
                return None
            self._taken[phase.name] = device
        elif len(self._cpu) >= self.cpu_jobs:
            return None
        else:
            self._cpu.add(phase.name)
        self._alone = phase.name if phase.alone else ""
        return device

    def free(self, name: str) -> None:
        """Gives back the place of the phase `name`."""
        self._taken.pop(name, None)
        self._cpu.discard(name)
        self._alone = "" if self._alone == name else self._alone
