# SPDX-License-Identifier: AGPL-3.0-only
"""A small SVG canvas and axes. Colours come from outside: CSS variables on screen, inks on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

Colours = dict[str, str]
TEXT = 12.5
# Width of a character over the font's size; on the wide side, since fonts differ.
_CHARACTER = 0.56

# Okabe and Ito's colours, which colour-blind readers tell apart; on a dark ground lighter ones.
PAPER: Colours = {
    "ink": "#1d2126", "soft": "#5a636d", "grid": "#dfe3e8", "ground": "#ffffff",
    "c0": "#0072b2", "c1": "#d55e00", "c2": "#009e73", "c3": "#a5508a", "c4": "#9a7500", "c5": "#56748c",
}  # fmt: skip
DARK: Colours = {
    "ink": "#e6e9ec", "soft": "#a3adb7", "grid": "#333b44", "ground": "#14181c",
    "c0": "#62b5e8", "c1": "#f0925a", "c2": "#4fc9a4", "c3": "#dd93c4", "c4": "#e0c04e", "c5": "#a3bcd0",
}  # fmt: skip
SCREEN: Colours = {name: f"var(--{name})" for name in PAPER}


@dataclass
class Canvas:
    """A drawing of `width` x `height` pixels, origin at the top left."""

    width: float
    height: float
    colours: Colours
    _parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'style="stroke:{self.colours[colour]};stroke-width:{width}"{dashed}/>'
        )

    def box(self, x: float, y: float, width: float, height: float, colour: str, title: str = "") -> None:
        """A filled rectangle."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" '
            f'style="fill:{self.colours[colour]}">{_title(title)}</rect>'
        )

    def mark(self, x: float, y: float, colour: str, shape: str = "o", size: float = 5, title: str = "") -> None:
        """A mark: "o" measured, "d" simulated (hollow diamond), "x" quoted (cross)."""
        paint = self.colours[colour]
        s = size
        drawings = {
            "o": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s}" style="fill:{paint}">{_title(title)}</circle>',
            "d": f'<path d="M{x:.1f} {y - s - 1:.1f}l{s + 1} {s + 1}l{-s - 1} {s + 1}l{-s - 1} {-s - 1}z" '
            f'style="fill:{self.colours["ground"]};stroke:{paint};stroke-width:2">{_title(title)}</path>',
            "x": f'<path d="M{x - s:.1f} {y - s:.1f}l{2 * s} {2 * s}m0 {-2 * s}l{-2 * s} {2 * s}" '
            f'style="fill:none;stroke:{paint};stroke-width:2.4">{_title(title)}</path>',
        }
        self._parts.append(drawings[shape])

    def words(
        self, x: float, y: float, text: str, colour: str = "ink", anchor: str = "start", size: float = TEXT,
        turned: bool = False,
    ) -> None:  # fmt: skip
        """Text on its base line. anchor: start, middle, end. turned: read from below."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn} '
            f'style="fill:{self.colours[colour]};font-size:{size}px;font-family:inherit">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The drawing."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}">' + "".join(self._parts) + "</svg>"
        )


@dataclass(frozen=True)
class Scale:
    """From figures to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, number: float) -> float:
        low, high, at = self.low, self.high, number
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers within."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        locator = LogLocator(subs=(1, 2, 5)) if self.logarithmic else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
        found = locator.tick_values(self.low, self.high)
        slack = 1e-9 * abs(self.high)
        return [float(tick) for tick in found if self.low - slack <= tick <= self.high + slack]


def around(numbers: Sequence[float], logarithmic: bool = False) -> tuple[float, float]:
    """A range with some air about the figures."""
    low, high = min(numbers), max(numbers)
    if logarithmic:
        return low / 1.35, high * 1.5
    air = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def text_width(text: str, size: float = TEXT) -> float:
    """About how wide a text is."""
    return len(text) * size * _CHARACTER


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
