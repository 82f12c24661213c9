# SPDX-License-Identifier: AGPL-3.0-only
"""Runs campaigns of small phases; as a module, one that a test kills."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from offline_tools.campaign.phase import Phase
from offline_tools.campaign.runner import Progress, Runner, State
from offline_tools.campaign.slots import Slots

STEP = "campaign_world.steps"


def phase(name: str, *needs: str, **changes: Any) -> Phase:
    """A phase that reads out.txt of `needs`. changes: settings, and fields of Phase."""
    settings = {key: changes.pop(key) for key in ("text", "wait_for", "fail", "decision") if key in changes}
    inputs = {f"from:{need}": f"{need}/out.txt" for need in needs}
    return Phase(name, STEP, {"text": name, **settings}, inputs, outputs=("out.txt",), **changes)


class Silent:
    """A listener that says nothing."""

    def changed(self, one: Progress) -> None: ...

    def tick(self, everything: Any) -> None: ...


def carry_out(root: Path, phases: list[Phase], slots: Slots | None = None, **choices: Any) -> dict[str, State]:
    """Runs the phases; where each stands at the end."""
    choices.setdefault("selected", frozenset(one.name for one in phases))
    result = Runner(phases, root, slots or Slots(), Silent(), **choices).run()
    return {one.phase.name: one.state for one in result}


def ran(root: Path) -> list[str]:
    """Phases in the order in which they were started, since the last time that this was asked."""
    path = root / "ran.txt"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


if __name__ == "__main__":
    # The first phase ends, the second waits for a file that only the test writes.
    folder = Path(sys.argv[1])
    states = carry_out(folder, [phase("first"), phase("second", "first", wait_for="go")])
    print(json.dumps({name: state.value for name, state in states.items()}))
