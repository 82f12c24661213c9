# SPDX-License-Identifier: AGPL-3.0-only
"""What HTML and PDF share: numbers of sections, tables, figures and references, and lines of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from offline_tools.report.document import Block, Document, Figure, Section, Table, values_of
from offline_tools.report.records import readable
from offline_tools.report.references import cited
from offline_tools.report.values import Value


@dataclass(frozen=True)
class Laid:
    """A section in its place. level: 1 or 2. blocks: each with its name, "Table 3", or an empty one."""

    number: str
    level: int
    section: Section
    blocks: tuple[tuple[str, Block], ...]


def lay_out(document: Document) -> list[Laid]:
    """All sections in order, numbered; tables and figures counted through."""
    counts = {Table: 0, Figure: 0}

    def named(block: Block) -> tuple[str, Block]:
        for kind in (Table, Figure):
            if isinstance(block, kind):
                counts[kind] += 1
                return f"{kind.__name__} {counts[kind]}", block
        return "", block

    return [
        Laid(number, level, section, tuple(named(block) for block in section.blocks))
        for number, level, section in _sections(document.sections, "")
    ]


def citations(document: Document) -> dict[str, int]:
    """The number of each reference, by key."""
    return {key: number for number, key in enumerate(cited(document), 1)}


def sources_line(block: Block) -> str:
    """From which records a block's figures come, and of which kind they are."""
    found: dict[str, set[str]] = {}
    for value in values_of(block):
        for source in value.sources:
            found.setdefault(source.record, set()).add(source.kind.value)
    return "; ".join(f"{record} ({', '.join(sorted(kinds))})" for record, kinds in sorted(found.items()))


def source_of(value: Value) -> str:
    """A figure's places in a line: "accuracy.json: models[0].map50"; of a computed one, what it was made from."""
    places = "; ".join(f"{source.record}: {readable(source.key)}" for source in value.sources[:4])
    more = f"; and {len(value.sources) - 4} more" if len(value.sources) > 4 else ""
    return f"{'from ' if value.how else ''}{places}{more}"


def _sections(sections: Sequence[Section], above: str) -> Iterator[tuple[str, int, Section]]:
    for number, section in enumerate(sections, 1):
        own = f"{above}{number}"
        yield own, 1 + above.count("."), section
        yield from _sections(section.sections, f"{own}.")
