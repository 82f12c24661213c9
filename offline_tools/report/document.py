# SPDX-License-Identifier: AGPL-3.0-only
"""The report before it is laid out: sections of paragraphs, tables and figures. HTML and PDF are made of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from offline_tools.report.text import Part, Parts, check_words, parts, prose
from offline_tools.report.values import Value


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    parts: Parts


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    items: tuple[Parts, ...]


@dataclass(frozen=True)
class Missing:
    """What cannot be shown, and the command that would make it."""

    what: str
    command: str


@dataclass(frozen=True)
class Column:
    """A table's column. group: a heading over several columns. numeric: set to the right."""

    title: str
    numeric: bool = True
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A table's row. strong: stands out. heading: a line of its own between rows, of one cell."""

    cells: tuple[Parts, ...]
    strong: bool = False
    heading: bool = False


@dataclass(frozen=True)
class Table:
    """A table. wide: wants a whole page's width. small: many rows of little weight, folded away on screen."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: Parts
    note: Parts = ()
    small: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != (1 if row.heading else len(self.columns)):
                raise ValueError(f"a row of {len(row.cells)} cells in a table of {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A chart. draw: makes SVG in the colours that it is given. values: all that is drawn. alt: for who cannot see."""

    draw: Callable[[dict[str, str]], str]
    values: tuple[Value, ...]
    caption: Parts
    alt: str


Block = Paragraph | Bullets | Missing | Table | Figure


@dataclass
class Section:
    """A section and its subsections. key: anchor."""

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def say(self, template: str, **found: Part | Parts) -> None:
        """Adds a paragraph, as `prose` reads it."""
        self.blocks.append(Paragraph(prose(template, **found)))

    def points(self, *items: Parts) -> None:
        """Adds a list."""
        self.blocks.append(Bullets(tuple(parts(*item) for item in items)))

    def miss(self, what: str, command: str) -> None:
        """Says what is missing."""
        check_words(what)
        self.blocks.append(Missing(what, command))

    def add(self, block: Block) -> None:
        """Adds a table or a figure."""
        self.blocks.append(block)

    def sub(self, key: str, title: str) -> Section:
        """Adds a subsection."""
        check_words(title)
        self.sections.append(Section(key, title))
        return self.sections[-1]


@dataclass(frozen=True)
class Document:
    """The whole report. made: when, and by which commit."""

    title: str
    subtitle: str
    made: str
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """All blocks, in order."""
        queue = list(self.sections)
        while queue:
            section = queue.pop(0)
            yield from section.blocks
            queue = section.sections + queue

    def values(self) -> list[Value]:
        """All figures that are shown, in order, each once."""
        found = [value for block in self.blocks() for value in values_of(block)]
        return list(dict.fromkeys(found))

    def missing(self) -> list[Missing]:
        """All that could not be shown."""
        return list(dict.fromkeys(block for block in self.blocks() if isinstance(block, Missing)))


def values_of(block: Block) -> list[Value]:
    """The figures of a block."""
    if isinstance(block, Figure):
        return [*block.values, *_values(block.caption)]
    if isinstance(block, Table):
        return _values(
            [part for row in block.rows for cell in row.cells for part in cell] + [*block.caption, *block.note]
        )
    if isinstance(block, Bullets):
        return _values([part for item in block.items for part in item])
    return _values(block.parts) if isinstance(block, Paragraph) else []


def table(
    columns: Sequence[Column], rows: Sequence[Row], caption: Parts, note: Parts = (), small: bool = False
) -> Table:
    """A table whose words were checked. Raises BareNumberError."""
    for row in rows:
        for cell in row.cells:
            parts(*cell)
    for column in columns:
        check_words(column.title)
    return Table(tuple(columns), tuple(rows), parts(*caption), parts(*note), small)


def row(*cells: Part | Parts | None, strong: bool = False) -> Row:
    """A row; None is a cell that has nothing to show."""
    return Row(
        tuple(("–",) if cell is None else cell if isinstance(cell, tuple) else (cell,) for cell in cells), strong
    )


def heading(*found: Part) -> Row:
    """A line between rows."""
    return Row((tuple(found),), heading=True)


def _values(found: Sequence[Part]) -> list[Value]:
    return [part for part in found if isinstance(part, Value)]
