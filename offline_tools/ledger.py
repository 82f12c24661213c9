# SPDX-License-Identifier: AGPL-3.0-only
"""The ledger of final evaluations: each model sees each test split once.

A second look at the test split is how a figure turns from a measurement into a choice. It is refused, and where it is
forced, the entry says so for good.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

DEFAULT_LEDGER = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "test_ledger.json"


class LedgerError(ValueError):
    """A final evaluation that was made before; the message names its date and figures."""


@dataclass(frozen=True)
class Entry:
    """One final evaluation. model_sha256: of the engine file. data_sha256: of the test images."""

    model: str
    model_sha256: str
    data_sha256: str
    map50: float
    map50_95: float
    date: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    forced: bool = False


def read_ledger(path: Path = DEFAULT_LEDGER) -> list[Entry]:
    """All entries, oldest first; none where there is no ledger yet. Raises LedgerError where it is damaged."""
    if not path.exists():
        return []
    try:
        return [Entry(**entry) for entry in json.loads(path.read_text())["entries"]]
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{path} is damaged ({error!r}): restore it from git") from error


def refuse_second_look(model_sha256: str, data_sha256: str, force: bool, path: Path = DEFAULT_LEDGER) -> bool:
    """Whether this evaluation is a forced second one. Raises LedgerError where it is a second one and not forced."""
    for entry in read_ledger(path):
        if (entry.model_sha256, entry.data_sha256) == (model_sha256, data_sha256):
            if force:
                return True
            raise LedgerError(
                f"{entry.model} ({model_sha256[:12]}…) was evaluated on this test split on {entry.date}: "
                f"mAP50 {entry.map50:.4f}. Use that figure; --force repeats it and marks it in every report."
            )
    return False


def record(entry: Entry, path: Path = DEFAULT_LEDGER) -> None:
    """Adds an entry, in one step. Nothing is ever removed."""
    entries = [asdict(known) for known in read_ledger(path)] + [asdict(entry)]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps({"entries": entries}, indent=1) + "\n")
    os.replace(temporary, path)
