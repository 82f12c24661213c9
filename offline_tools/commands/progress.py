# SPDX-License-Identifier: AGPL-3.0-only
"""A bar for work that tells how many images are done and how many there are."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import Progress


def counted(progress: Progress, title: str) -> Callable[[int, int], None]:
    """Adds a bar; returns what is to be called with images done and images in all."""
    task = progress.add_task(title)
    return lambda done, total: progress.update(task, completed=done, total=total)
