# SPDX-License-Identifier: AGPL-3.0-only
"""The literature: numbered in the order in which the report first cites it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from offline_tools.report.document import Bullets, Document, Figure, Paragraph, Table
from offline_tools.report.text import Cite, Part


@dataclass(frozen=True)
class Reference:
    """One entry. note: of whose figures it quotes, the key of another entry."""

    authors: str
    title: str
    where: str
    year: int | None = None
    arxiv: str = ""
    url: str = ""
    note: str = ""

    @property
    def link(self) -> str:
        """Where it can be read; empty where no address is kept."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.url

    @property
    def rest(self) -> str:
        """What follows the title."""
        return ", ".join(str(part) for part in (self.where, self.year) if part)


@cache
def references() -> dict[str, Reference]:
    """All entries by key."""
    entries = yaml.safe_load((Path(__file__).parent / "references.yaml").read_text())
    return {key: Reference(**entry) for key, entry in entries.items()}


def cited(document: Document) -> list[str]:
    """Keys of the entries that are cited, in order. Raises KeyError where one is not kept."""
    keys: list[str] = []
    for block in document.blocks():
        for part in _parts(block):
            if isinstance(part, Cite):
                keys.append(part.key)
    known = references()
    ordered = list(dict.fromkeys(keys))
    for key in list(ordered):
        if known[key].note.startswith("figures as quoted by "):
            ordered.append(known[key].note.removeprefix("figures as quoted by "))
    return list(dict.fromkeys(ordered))


def _parts(block: object) -> list[Part]:
    if isinstance(block, Paragraph):
        return list(block.parts)
    if isinstance(block, Bullets):
        return [part for item in block.items for part in item]
    if isinstance(block, Table):
        return [*block.caption, *(part for row in block.rows for cell in row.cells for part in cell), *block.note]
    if isinstance(block, Figure):
        return list(block.caption)
    return []
