# SPDX-License-Identifier: Apache-2.0
"""`cone-monitor`: the running node's stages, live in the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Mapping
from threading import Lock

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cone_detector.latency import STAGES, Window

_ROWS = (*STAGES, "age", "upload", "compute", "download")
_COLOURS = ("green", "yellow", "red", "magenta")
_PATIENCE_S = 2.0


class Board:
    """What has been heard of the node, and how it is shown. Heard in one thread, shown in another."""

    def __init__(self, frames: int = 600) -> None:
        """frames: how many of the last ones the percentiles are of."""
        self._window = Window(frames)
        self._arrivals: deque[float] = deque(maxlen=frames)
        self._last: Mapping[str, str] = {}
        self._health: list[tuple[int, str, str]] = []
        self._lock = Lock()

    def hear_latency(self, values: Mapping[str, str], now_s: float) -> None:
        """Takes the values of one `latency` message. now_s: of a steady clock."""
        with self._lock:
            self._last = values
            self._arrivals.append(now_s)
            self._window.add({name: ms for name in _ROWS if (ms := _number(values.get(f"{name}_ms"))) is not None})

    def hear_health(self, statuses: list[tuple[int, str, str]]) -> None:
        """Takes the node's part of `/diagnostics`: level, name and message of each status."""
        with self._lock:
            self._health = statuses

    def show(self, now_s: float) -> RenderableType:
        """The board as it is now."""
        with self._lock:
            if not self._arrivals:
                return Group(Text("waiting for the node's topic `latency` …"), *self._health_lines())
            parts: list[RenderableType] = [self._table(), self._summary(now_s), *self._health_lines()]
        return Panel(Group(*parts), title=f"cone_detector on {self._last.get('device', '?')}", expand=False)

    def rate_hz(self, now_s: float) -> float:
        """Answers a second, over the last two seconds."""
        recent = [at for at in self._arrivals if now_s - at <= _PATIENCE_S]
        span_s = recent[-1] - recent[0] if recent else 0.0
        return (len(recent) - 1) / span_s if span_s else 0.0

    def _table(self) -> Table:
        table = Table("stage, ms", "now", "p50", "p95", "p99", box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        for name, percentiles in self._window.percentiles(50, 95, 99).items():
            current = _number(self._last.get(f"{name}_ms"))
            style = "bold" if name in ("total", "age") else ""
            cells = ["" if value is None else f"{value:.2f}" for value in (current, *percentiles)]
            table.add_row(name, *cells, style=style)
        return table

    def _summary(self, now_s: float) -> Text:
        last = self._last
        silent_s = now_s - self._arrivals[-1]
        text = Text()
        if silent_s > _PATIENCE_S:
            text.append(f"silent for {silent_s:.0f} s\n", "red")
        text.append(f"\nrate {self.rate_hz(now_s):.1f} Hz, pairs {last.get('pairs', '?')}, ")
        lost = [f"{name} {last.get(name, '?')}" for name in ("dropped", "unpaired")]
        text.append(", ".join(lost), "" if all(line.endswith(" 0") for line in lost) else "yellow")
        text.append(f"\npasses {last.get('passes', '?')}")
        cones = last.get("cones") or f"none: {last.get('no_cones_reason', '')}"
        text.append(f"\ncones left {last.get('left', '?')}, right {last.get('right', '?')}, located {cones}\n")
        return text

    def _health_lines(self) -> list[Text]:
        return [
            Text.assemble((f"{name}: ", "bold"), (message, _COLOURS[min(level, 3)]))
            for level, name, message in self._health
        ]


def _number(text: str | None) -> float | None:
    """None where there is no text, or the quantity was not measured (nan)."""
    value = float(text) if text else float("nan")
    return None if value != value else value


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    from cone_detector.ros.listener import Listener

    parser = argparse.ArgumentParser(prog="cone-monitor", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long; 0: at Ctrl-C")
    parser.add_argument("--frames", type=int, default=600, help="percentiles are of so many last frames")
    options, ros_arguments = parser.parse_known_args(arguments)
    board = Board(options.frames)
    end = time.monotonic() + (options.seconds or float("inf"))
    listener = Listener(board, ros_arguments)
    try:
        with Live(board.show(time.monotonic()), refresh_per_second=5) as live:
            while time.monotonic() < end:
                time.sleep(0.2)
                live.update(board.show(time.monotonic()))
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
