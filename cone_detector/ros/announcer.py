# SPDX-License-Identifier: Apache-2.0
"""Puts into the log what /diagnostics shows, when it changes: for who watches a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from diagnostic_msgs.msg import DiagnosticStatus


class Announcer:
    """Picks the statuses that are news: another level than was last announced, in two reports one after the other."""

    def __init__(self) -> None:
        self._announced: dict[str, bytes] = {}
        self._last: dict[str, bytes] = {}

    def news(self, statuses: Iterable[DiagnosticStatus]) -> Iterator[DiagnosticStatus]:
        """Those of one report that are to be logged; what is well from the beginning is no news."""
        for status in statuses:
            steady = self._last.get(status.name) == status.level
            self._last[status.name] = status.level
            if steady and self._announced.get(status.name, DiagnosticStatus.OK) != status.level:
                self._announced[status.name] = status.level
                yield status
