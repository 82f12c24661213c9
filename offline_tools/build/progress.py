# SPDX-License-Identifier: AGPL-3.0-only
"""How far a build is: what TensorRT reports, and what the same build took the last time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Durations:
    """Seconds that builds took, in a JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get(self, key: str) -> float | None:
        """Seconds of the last build of that kind; None where there was none or the file is damaged."""
        found = self._read().get(key)
        return found if isinstance(found, float) else None

    def put(self, key: str, seconds: float) -> None:
        values = {**self._read(), key: round(seconds, 1)}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(values, indent=1))

    def _read(self) -> dict[str, object]:
        try:
            values = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}


@contextmanager
def shown(console: Console, title: str, estimate_s: float | None) -> Iterator[Callable[[float], None]]:
    """Shows a bar while the with-block builds; yields what is to be told the share that is done, 0 to 1."""
    expected = f"took {estimate_s:.0f} s the last time" if estimate_s else "takes up to some minutes"
    console.print(f"{title}: building, which {expected}")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda share: bar.update(task, completed=share, total=1.0)
