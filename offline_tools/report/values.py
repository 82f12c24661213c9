# SPDX-License-Identifier: AGPL-3.0-only
"""Figures that carry their source.

The report prints a result only as a `Value`. A value is read from a record (`records.Node.value`) or computed from
other values, so a figure without a recorded run behind it cannot be written down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum


class Kind(str, Enum):
    """How a figure came about. Of a computed figure, all kinds that went into it hold."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    QUOTED = "quoted"
    TARGET = "target"

    @property
    def mark(self) -> str:
        """The letter that a figure of this kind carries; none for a measured one."""
        return {"measured": "", "simulated": "s", "quoted": "q", "target": "t"}[self.value]


@dataclass(frozen=True)
class Source:
    """Where a figure stands: record (file name), key within it ("engines[2].map50"), and kind."""

    record: str
    key: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.record}: {self.key} ({self.kind.value})"


@dataclass(frozen=True)
class Value:
    """A number with its sources; `sources` of a computed one are those of all that went into it.

    digits: decimals shown. unit: written behind the number, " ms" with its space. signed: whether a plus is written.
    how: formula of a computed value, empty for one that was read.
    """

    number: float
    sources: tuple[Source, ...]
    digits: int = 3
    unit: str = ""
    signed: bool = False
    how: str = ""

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError(f"{self.number} has no source: read figures from a record, never write them down")

    @property
    def text(self) -> str:
        """As it is printed: a true minus, thousands separated."""
        shown = f"{self.number:{'+' if self.signed else ''},.{self.digits}f}"
        if float(shown.replace(",", "")) == 0:
            shown = shown.lstrip("+-")
        return shown.replace("-", "−") + self.unit

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of all sources, in the order of `Kind`."""
        found = {source.kind for source in self.sources}
        return tuple(kind for kind in Kind if kind in found)

    @property
    def mark(self) -> str:
        """The letters of its kinds: "" where all was measured."""
        return "".join(kind.mark for kind in self.kinds)

    def negated(self) -> Value:
        """Its negative, with its sign: a loss as a change."""
        return replace(self, number=-self.number, signed=True, how=f"−{self.how or self.sources[0].key}")

    def shown(self, digits: int | None = None, unit: str | None = None, signed: bool | None = None) -> Value:
        """The same figure, printed otherwise."""
        return replace(
            self,
            digits=self.digits if digits is None else digits,
            unit=self.unit if unit is None else unit,
            signed=self.signed if signed is None else signed,
        )


@dataclass(frozen=True)
class Label:
    """A word of a record (a name, a version, a date), with its source; may hold any digits."""

    text: str
    source: Source

    def cut(self, length: int) -> Label:
        """Its first characters: enough of a hash, or the day of a date."""
        return Label(self.text[:length], self.source)


def ratio(over: Value, under: Value, digits: int = 2, unit: str = " ×") -> Value:
    """`over / under`. Raises ValueError where `under` is zero."""
    if under.number == 0:
        raise ValueError(f"a ratio to zero: {under.sources[0]}")
    return _computed(over.number / under.number, (over, under), "{} / {}", digits, unit)


def difference(one: Value, other: Value, digits: int | None = None, unit: str | None = None) -> Value:
    """`one - other`, with its sign."""
    found = _computed(one.number - other.number, (one, other), "{} − {}", one.digits, one.unit)
    return found.shown(digits, unit, signed=True)


def points(one: Value, other: Value) -> Value:
    """The difference of two shares in percentage points, with its sign."""
    found = _computed(100 * (one.number - other.number), (one, other), "100 ({} − {})", 1, " points")
    return found.shown(signed=True)


def percent(share: Value, digits: int = 1) -> Value:
    """A share as a percentage."""
    return _computed(100 * share.number, (share,), "100 {}", digits, " %")


def total(values: list[Value], digits: int | None = None) -> Value:
    """The sum; its unit is that of the first."""
    first = values[0]
    return _computed(sum(value.number for value in values), tuple(values), "sum", digits or first.digits, first.unit)


def computed(how: str, function: Callable[..., float], *values: Value, digits: int, unit: str = "") -> Value:
    """Any other function of values. how: its formula, for the list of sources."""
    return _computed(function(*(value.number for value in values)), values, how, digits, unit)


def _computed(number: float, values: tuple[Value, ...], how: str, digits: int, unit: str) -> Value:
    sources = tuple(dict.fromkeys(source for value in values for source in value.sources))
    keys = [value.sources[0].key if not value.how else f"({value.how})" for value in values]
    return Value(number, sources, digits, unit, how=how.format(*keys) if "{}" in how else how)
