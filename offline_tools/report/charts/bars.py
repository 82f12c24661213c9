# SPDX-License-Identifier: AGPL-3.0-only
"""Rows beside each other: stacked bars of a latency's stages, and dots with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offline_tools.report.charts.canvas import TEXT, Canvas, Colours, Scale, around, text_width
from offline_tools.report.values import Kind, Value

_WIDTH, _ROW = 760, 30
_TOP, _BOTTOM, _RIGHT = 40, 44, 84


@dataclass(frozen=True)
class Stack:
    """A bar of stages, in order; a stage that a row lacks is None. mark: written behind its end."""

    name: str
    stages: tuple[Value | None, ...]
    mark: str


@dataclass(frozen=True)
class Dot:
    """A figure with its standard deviation, where several runs were made. series: its colour."""

    name: str
    value: Value
    deviation: Value | None
    series: str


def stacks(rows: Sequence[Stack], stages: Sequence[str], label: str, colours: Colours) -> str:
    """Stacked bars as SVG."""
    left = _left([row.name for row in rows])
    height = _TOP + _ROW * len(rows) + _BOTTOM
    canvas = Canvas(_WIDTH, height, colours)
    longest = max(sum(stage.number for stage in row.stages if stage) for row in rows)
    x = Scale(0, longest * 1.02, left, _WIDTH - _RIGHT)
    _axis(canvas, x, height, label)
    _legend(canvas, stages, left)
    for number, row in enumerate(rows):
        top, at = _TOP + _ROW * number + 5, 0.0
        canvas.words(left - 10, top + 15, row.name, "ink", "end")
        for colour, stage in enumerate(row.stages):
            if stage is not None:
                title = f"{row.name}, {stages[colour]}: {stage.text} ({stage.sources[0]})"
                canvas.box(x(at), top, x(at + stage.number) - x(at), _ROW - 10, f"c{colour % 6}", title)
                at += stage.number
        canvas.words(x(at) + 6, top + 15, row.mark, "soft", size=11.5)
    return canvas.svg()


def dots(rows: Sequence[Dot], label: str, colours: Colours, levels: Sequence[tuple[str, Value]] = ()) -> str:
    """Dots with one standard deviation to each side, as SVG.

    levels: vertical lines with their names, the lower one first.
    """
    left = _left([row.name for row in rows])
    height = _TOP + _ROW * len(rows) + _BOTTOM
    canvas = Canvas(_WIDTH, height, colours)
    numbers = [
        row.value.number + sign * (row.deviation.number if row.deviation else 0) for row in rows for sign in (-1, 1)
    ]
    x = Scale(*around([*numbers, *(value.number for _, value in levels)]), left, _WIDTH - _RIGHT)
    _axis(canvas, x, height, label)
    series = list(dict.fromkeys(row.series for row in rows))
    _legend(canvas, series, left)
    for place, (name, value) in enumerate(levels):
        at, anchor = x(value.number), "start" if place else "end"
        canvas.line(at, _TOP - 4, at, height - _BOTTOM, "soft", 1, "5 4")
        canvas.words(at + (4 if place else -4), height - _BOTTOM - 4, f"{name} {value.text}", "soft", anchor, 11)
    for number, row in enumerate(rows):
        middle, at = _TOP + _ROW * number + _ROW / 2, x(row.value.number)
        canvas.words(left - 10, middle + 4, row.name, "ink", "end")
        if row.deviation is not None:
            half = x(row.value.number + row.deviation.number) - at
            canvas.line(at - half, middle, at + half, middle, f"c{series.index(row.series) % 6}", 2)
        shape = "d" if Kind.SIMULATED in row.value.kinds else "x" if Kind.QUOTED in row.value.kinds else "o"
        canvas.mark(at, middle, f"c{series.index(row.series) % 6}", shape,
                    title=f"{row.name}: {row.value.text} ({row.value.sources[0]})")  # fmt: skip
    return canvas.svg()


def _axis(canvas: Canvas, x: Scale, height: float, label: str) -> None:
    for tick in x.ticks():
        canvas.line(x(tick), _TOP, x(tick), height - _BOTTOM, "grid")
        canvas.words(x(tick), height - _BOTTOM + 16, f"{tick:g}", "soft", "middle", 11.5)
    canvas.line(x.start, height - _BOTTOM, x.end, height - _BOTTOM, "soft")
    canvas.words((x.start + x.end) / 2, height - 8, label, "ink", "middle")


def _legend(canvas: Canvas, names: Sequence[str], left: float) -> None:
    if len(names) < 2:
        return
    widths = [26 + text_width(name, TEXT) for name in names]
    at = left if sum(widths) < _WIDTH - left else max(4.0, _WIDTH - 4 - sum(widths))
    for number, (name, width) in enumerate(zip(names, widths, strict=True)):
        canvas.box(at, 12, 11, 11, f"c{number % 6}")
        canvas.words(at + 16, 22, name)
        at += width


def _left(names: Sequence[str]) -> float:
    return min(300.0, 24 + max(text_width(name) for name in names))
