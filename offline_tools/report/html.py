# SPDX-License-Identifier: AGPL-3.0-only
"""The report as one HTML file that needs nothing else: no network, no script, light and dark, fit to print."""

from __future__ import annotations

from html import escape
from pathlib import Path

from offline_tools.report.charts.canvas import DARK, PAPER, SCREEN
from offline_tools.report.document import Block, Bullets, Column, Document, Figure, Missing, Paragraph, Row, Table
from offline_tools.report.layout import Laid, citations, lay_out, source_of, sources_line
from offline_tools.report.references import references
from offline_tools.report.text import Cite, Code, Part, Parts, Strong
from offline_tools.report.values import Kind, Label, Value

_KINDS = {
    Kind.MEASURED: "no mark: measured by this project",
    Kind.SIMULATED: "s: simulated from a model of the hardware",
    Kind.QUOTED: "q: quoted from others",
    Kind.TARGET: "t: a target of the plan",
}
# A table of more columns is set closer.
_MANY = 9


def to_html(document: Document) -> str:
    """The whole file's text."""
    return _Page(document).text()


class _Page:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._laid = lay_out(document)
        self._citations = citations(document)

    def text(self) -> str:
        title = escape(self._document.title)
        legend = "".join(f"<li>{escape(text)}</li>" for text in _KINDS.values())
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{title}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
            f'<header><h1>{title}</h1><p class="subtitle">{escape(self._document.subtitle)}</p>'
            f'<p class="made">{escape(self._document.made)}</p>'
            f'<ul class="legend" aria-label="how figures came about">{legend}</ul></header>\n'
            f'<nav aria-label="contents"><ol>{self._contents()}</ol></nav>\n<main>\n'
            + "\n".join(self._section(laid) for laid in self._laid)
            + self._references()
            + "\n</main>\n</body>\n</html>\n"
        )

    def _contents(self) -> str:
        return (
            "".join(
                f'<li class="level{laid.level}"><a href="#{laid.section.key}"><span>{laid.number}</span> '
                f"{escape(laid.section.title)}</a></li>"
                for laid in self._laid
            )
            + '<li class="level1"><a href="#references"><span></span> References</a></li>'
        )

    def _section(self, laid: Laid) -> str:
        tag = f"h{laid.level + 1}"
        head = f"<{tag}><span>{laid.number}</span> {escape(laid.section.title)}</{tag}>"
        body = "\n".join(self._block(name, block) for name, block in laid.blocks)
        return f'<section id="{laid.section.key}">{head}\n{body}\n</section>'

    def _block(self, name: str, block: Block) -> str:
        if isinstance(block, Paragraph):
            return f"<p>{self._parts(block.parts)}</p>"
        if isinstance(block, Bullets):
            return "<ul>" + "".join(f"<li>{self._parts(item)}</li>" for item in block.items) + "</ul>"
        if isinstance(block, Missing):
            return (
                f'<p class="missing"><strong>Missing:</strong> {escape(block.what)}. '
                f"It is made by <code>{escape(block.command)}</code>.</p>"
            )
        caption = f"<strong>{name}.</strong> {self._parts(block.caption)}"
        sources = f'<span class="sources">Sources: {escape(sources_line(block))}</span>'
        if isinstance(block, Figure):
            return (
                f'<figure><div class="scroll" role="img" aria-label="{escape(block.alt)}">{block.draw(SCREEN)}</div>'
                f"<figcaption>{caption} {sources}</figcaption></figure>"
            )
        return self._table(block, caption, sources)

    def _table(self, table: Table, caption: str, sources: str) -> str:
        rows = "".join(self._row(table, row) for row in table.rows)
        wide = ' class="wide"' if len(table.columns) > _MANY else ""
        body = f"<table{wide}><thead>{_head(table.columns)}</thead><tbody>{rows}</tbody></table>"
        if table.small:
            return f'<details><summary>{caption}</summary><div class="scroll">{body}</div></details>'
        note = f'<p class="note">{self._parts(table.note)} {sources}</p>'
        return f'<div class="table"><p class="caption">{caption}</p><div class="scroll">{body}</div>{note}</div>'

    def _row(self, table: Table, row: Row) -> str:
        if row.heading:
            words = self._parts(row.cells[0])
            return f'<tr class="heading"><th colspan="{len(table.columns)}" scope="rowgroup">{words}</th></tr>'
        cells = "".join(
            f"<td{_numeric(column)}>{self._parts(cell)}</td>"
            for column, cell in zip(table.columns, row.cells, strict=True)
        )
        strong = ' class="strong"' if row.strong else ""
        return f"<tr{strong}>{cells}</tr>"

    def _references(self) -> str:
        known = references()
        items = []
        for key in self._citations:
            entry = known[key]
            link = f'<a href="{entry.link}">{escape(entry.link.removeprefix("https://"))}</a>' if entry.link else ""
            by = entry.note.removeprefix("figures as quoted by ")
            quoted = f" Figures as quoted by [{self._citations[by]}]." if by else ""
            words = f"{escape(entry.authors)}. <em>{escape(entry.title)}</em>. {escape(entry.rest)}. {link}{quoted}"
            items.append(f'<li id="ref-{key}">{words}</li>')
        return f'\n<section id="references"><h2>References</h2><ol class="references">{"".join(items)}</ol></section>'

    def _parts(self, parts: Parts) -> str:
        return "".join(self._part(part) for part in parts)

    def _part(self, part: Part) -> str:
        if isinstance(part, Value):
            mark = f"<sup>{part.mark}</sup>" if part.mark else ""
            kinds = [kind.value for kind in part.kinds]
            source = escape(f"{', '.join(kinds)}: {source_of(part)}")
            return f'<span class="v {" ".join(kinds)}" title="{source}">{escape(part.text)}{mark}</span>'
        if isinstance(part, Label):
            return f'<span class="label" title="{escape(str(part.source))}">{escape(part.text)}</span>'
        if isinstance(part, Cite):
            return f'<a class="cite" href="#ref-{part.key}">[{self._citations[part.key]}]</a>'
        if isinstance(part, Code):
            return f"<code>{escape(part.text)}</code>"
        return f"<strong>{escape(part.text)}</strong>" if isinstance(part, Strong) else escape(part)


def _head(columns: tuple[Column, ...]) -> str:
    groups = ""
    if any(column.group for column in columns):
        cells, at = [], 0
        while at < len(columns):
            span = 1
            while columns[at].group and at + span < len(columns) and columns[at + span].group == columns[at].group:
                span += 1
            marked = ' class="group"' if columns[at].group else ""
            cells.append(f'<th colspan="{span}"{marked}>{escape(columns[at].group)}</th>')
            at += span
        groups = f"<tr>{''.join(cells)}</tr>"
    names = "".join(f'<th scope="col"{_numeric(c)}>{escape(c.title)}</th>' for c in columns)
    return f"{groups}<tr>{names}</tr>"


def _numeric(column: Column) -> str:
    return ' class="n"' if column.numeric else ""


def _style() -> str:
    def colours(palette: dict[str, str]) -> str:
        return "".join(f"--{name}:{value};" for name, value in palette.items())

    sheet = (Path(__file__).parent / "style.css").read_text()
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{colours(DARK)}}}}}"
    return f":root{{{colours(PAPER)}}}\n{dark}\n{sheet}"
