# SPDX-License-Identifier: AGPL-3.0-only
"""Points in a plane: accuracy against latency, accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from offline_tools.report.charts.canvas import TEXT, Canvas, Colours, Scale, around, text_width
from offline_tools.report.values import Kind, Value

_WIDTH, _HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 34, 54
Box = tuple[float, float, float, float]
# Where a name may stand beside its mark, the best first: anchor, dx, dy.
_SIZE = 11
_PLACES = (
    ("start", 9, 4), ("end", -9, 4), ("middle", 0, -10), ("middle", 0, 19), ("start", 9, -8), ("start", 9, 16),
    ("end", -9, -8), ("end", -9, 16), ("start", 9, -20), ("start", 9, 28), ("end", -9, -20), ("end", -9, 28),
    ("start", 14, -20), ("start", 14, 28), ("end", -14, -20), ("end", -14, 28),
    ("middle", 0, -32), ("middle", 0, 40), ("start", 9, -44), ("end", -9, -44), ("start", 9, 52), ("end", -9, 52),
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A point; series: its colour and legend. name: written beside it, where there is room; may be empty."""

    x: Value
    y: Value
    series: str
    name: str = ""

    @property
    def shape(self) -> str:
        """Circle: measured. Diamond: simulated. Cross: quoted."""
        kinds = {*self.x.kinds, *self.y.kinds}
        return "d" if Kind.SIMULATED in kinds else "x" if Kind.QUOTED in kinds else "o"

    @property
    def title(self) -> str:
        """What a pointer over the mark shows."""
        return f"{self.name or self.series}: {self.x.text}, {self.y.text} ({self.x.sources[0]}; {self.y.sources[0]})"


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    colours: Colours,
    logarithmic: bool = False,
    levels: Sequence[tuple[str, Value]] = (),
) -> str:
    """The chart as SVG. logarithmic: the x axis. levels: horizontal lines with their names."""
    canvas = Canvas(_WIDTH, _HEIGHT, colours)
    x_range = around([point.x.number for point in points], logarithmic)
    y_range = around([point.y.number for point in points] + [value.number for _, value in levels])
    x = Scale(*x_range, _LEFT, _WIDTH - _RIGHT, logarithmic)
    y = Scale(*y_range, _HEIGHT - _BOTTOM, _TOP)
    _axes(canvas, x, y, x_label, y_label)
    for name, value in levels:
        canvas.line(_LEFT, y(value.number), _WIDTH - _RIGHT, y(value.number), "soft", 1, "5 4")
        canvas.words(_WIDTH - _RIGHT, y(value.number) - 5, f"{name} {value.text}", "soft", "end", 11.5)
    series = list(dict.fromkeys(point.series for point in points))
    # A name on a level's line could not be read.
    taken: list[Box] = [(_LEFT, y(value.number) - 2, _WIDTH, y(value.number) + 2) for _, value in levels]
    marks = [(x(point.x.number), y(point.y.number)) for point in points]
    for point, at in zip(points, marks, strict=True):
        canvas.mark(*at, f"c{series.index(point.series) % 6}", point.shape, title=point.title)
        taken.append((at[0] - 7, at[1] - 7, at[0] + 7, at[1] + 7))
    gaps = [
        min((math.dist(at, other) for other in marks[:n] + marks[n + 1 :]), default=0) for n, at in enumerate(marks)
    ]
    # The closest neighbours first: they have the fewest places for their names.
    for number in sorted(range(len(points)), key=lambda number: gaps[number]):
        _name(canvas, points[number], marks[number], taken, marks[:number] + marks[number + 1 :])
    _legend(canvas, series, points)
    return canvas.svg()


def _axes(canvas: Canvas, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
    for tick in y.ticks():
        canvas.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid")
        canvas.words(_LEFT - 8, y(tick) + 4, f"{tick:g}", "soft", "end", 11.5)
    for tick in x.ticks():
        canvas.line(x(tick), _TOP, x(tick), _HEIGHT - _BOTTOM, "grid")
        canvas.words(x(tick), _HEIGHT - _BOTTOM + 18, f"{tick:g}", "soft", "middle", 11.5)
    canvas.line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, "soft")
    canvas.line(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, "soft")
    canvas.words((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x_label, "ink", "middle")
    canvas.words(16, (_TOP + _HEIGHT - _BOTTOM) / 2, y_label, "ink", "middle", turned=True)


def _name(
    canvas: Canvas, point: Point, at: tuple[float, float], taken: list[Box], others: Sequence[tuple[float, float]]
) -> None:
    """Writes the name where it covers nothing; leaves it to the pointer where there is no such place.

    taken: where marks, names and lines are; the name is added. others: the marks of other points.
    """
    if not point.name:
        return
    # Close to another mark it could be taken for that one's name: there only where no other place is left.
    near = [(x - 9, y - 9, x + 9, y + 9) for x, y in others]
    width = text_width(point.name, _SIZE)
    for blocked in ([*taken, *near], taken):
        for anchor, dx, dy in _PLACES:
            left = at[0] + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            box = (left, at[1] + dy - _SIZE, left + width, at[1] + dy + 3)
            inside = box[0] > _LEFT and box[2] < _WIDTH - 4 and box[1] > _TOP and box[3] < _HEIGHT - _BOTTOM
            # Too far away to be told whose it is, it gets a line.
            end = (at[0] + dx, box[3] if dy < 0 else box[1]) if not -10 <= dy <= 19 else None
            start = (at[0], at[1] + (8 if dy > 0 else -8))
            boxes = [box, _around(start, end)] if end else [box]
            if inside and not any(_overlap(one, other) for one in boxes for other in blocked):
                if end:
                    canvas.line(*start, *end, "soft", 0.8)
                canvas.words(at[0] + dx, at[1] + dy, point.name, "ink", anchor, _SIZE)
                taken += boxes
                return


def _around(one: tuple[float, float], other: tuple[float, float]) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1])


def _legend(canvas: Canvas, series: list[str], points: Sequence[Point]) -> None:
    if len(series) < 2:
        return
    at = float(_LEFT)
    for number, name in enumerate(series):
        shape = next(point.shape for point in points if point.series == name)
        canvas.mark(at + 6, 16, f"c{number % 6}", shape)
        canvas.words(at + 17, 20, name)
        at += 34 + text_width(name, TEXT)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
