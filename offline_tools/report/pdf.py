# SPDX-License-Identifier: AGPL-3.0-only
"""The report as a paper (PDF), set by Typst, which brings its own fonts and needs no browser."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from offline_tools.report.charts.canvas import PAPER
from offline_tools.report.document import Block, Bullets, Document, Figure, Missing, Paragraph, Table
from offline_tools.report.layout import citations, lay_out, sources_line
from offline_tools.report.references import references
from offline_tools.report.text import Cite, Code, Part, Parts, Strong
from offline_tools.report.values import Kind, Label, Value


class PdfError(RuntimeError):
    """A PDF that cannot be set here; the message says what to install."""


_FONT = "Libertinus Serif"
_TEMPLATE = Path(__file__).parent / "paper.typ"


def to_pdf(document: Document, when: datetime) -> bytes:
    """The PDF file's bytes; `when` becomes its date, so that the same records give the same file.

    Raises PdfError where Typst is not installed.
    """
    try:
        import typst
    except ModuleNotFoundError as error:
        raise PdfError(
            "the PDF needs typst: pip install -r config/requirements/offline.txt, or --format html"
        ) from error

    fonts = typst.Fonts(include_system_fonts=False)
    found = typst.Compiler(_TEMPLATE, font_paths=fonts, sys_inputs={"document": json.dumps(_Paper(document).data())})
    pdf = found.compile(format="pdf", timestamp=int(when.timestamp()))
    assert isinstance(pdf, bytes)
    return pdf


class _Paper:
    """The document as the template reads it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._citations = citations(document)

    def data(self) -> dict[str, Any]:
        known = references()
        return {
            "title": self._document.title,
            "subtitle": self._document.subtitle,
            "made": self._document.made,
            "sections": [
                {
                    "number": laid.number,
                    "level": laid.level,
                    "title": laid.section.title,
                    "blocks": [self._block(name, block) for name, block in laid.blocks],
                }
                for laid in lay_out(self._document)
            ],
            "references": [
                {
                    "number": number,
                    "authors": known[key].authors,
                    "title": known[key].title,
                    "rest": known[key].rest,
                    "link": known[key].link,
                    "by": self._citations.get(known[key].note.removeprefix("figures as quoted by ")),
                }
                for key, number in self._citations.items()
            ],
        }

    def _block(self, name: str, block: Block) -> dict[str, Any]:
        if isinstance(block, Paragraph):
            return {"is": "paragraph", "parts": self._parts(block.parts)}
        if isinstance(block, Bullets):
            return {"is": "bullets", "items": [self._parts(item) for item in block.items]}
        if isinstance(block, Missing):
            return {"is": "missing", "what": block.what, "command": block.command}
        shared = {"name": name, "caption": self._parts(block.caption), "sources": sources_line(block)}
        if isinstance(block, Figure):
            drawing = block.draw(PAPER).replace("font-family:inherit", f"font-family:'{_FONT}'")
            return {"is": "figure", "svg": drawing, "alt": block.alt, "note": [], **shared}
        return {"is": "table", "note": self._parts(block.note), **shared, **self._table(block)}

    def _table(self, table: Table) -> dict[str, Any]:
        # A column of words takes what is left; without one the table is as wide as its figures.
        longest = [
            max((sum(len(_text(part)) for part in row.cells[at]) for row in table.rows if not row.heading), default=0)
            for at in range(len(table.columns))
        ]
        return {
            "small": table.small,
            "columns": [
                {"title": c.title, "numeric": c.numeric, "group": c.group, "wide": not c.numeric and longest[at] > 40}
                for at, c in enumerate(table.columns)
            ],
            "rows": [
                {"cells": [self._parts(cell) for cell in row.cells], "strong": row.strong, "heading": row.heading}
                for row in table.rows
            ],
        }

    def _parts(self, parts: Parts) -> list[dict[str, Any]]:
        return [self._part(part) for part in parts]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Value):
            return {"is": "value", "text": part.text, "mark": part.mark, "simulated": Kind.SIMULATED in part.kinds}
        if isinstance(part, Cite):
            return {"is": "cite", "number": self._citations[part.key]}
        names = {Label: "label", Code: "code", Strong: "strong"}
        return {"is": names.get(type(part), "words"), "text": _text(part)}


def _text(part: Part) -> str:
    return part if isinstance(part, str) else getattr(part, "text", "")
