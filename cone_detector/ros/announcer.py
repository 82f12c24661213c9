# SPDX-License-Identifier: Apache-2.0
"""Puts into the log what /diagnostics shows, when it changes: for who watches a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from diagnostic_msgs.msg import DiagnosticStatus

_NUMBER = re.compile(r"\d+(\.\d+)?")


class Announcer:
    """Picks the statuses that are news: another level or another text, whatever its numbers, in two reports running."""

    def __init__(self) -> None:
        self._announced: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def news(self, statuses: Iterable[DiagnosticStatus]) -> Iterator[DiagnosticStatus]:
        """Those of one report that are to be logged; what is well from the beginning is no news."""
        for status in statuses:
            kind = _kind(status)
            steady = self._last.get(status.name) == kind
            self._last[status.name] = kind
            if steady and self._announced.get(status.name, "") != kind:
                self._announced[status.name] = kind
                yield status


def _kind(status: DiagnosticStatus) -> str:
    """What makes a status another one; empty where all is well."""
    return "" if status.level == DiagnosticStatus.OK else f"{status.level!r} {_NUMBER.sub('#', status.message)}"
