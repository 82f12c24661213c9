# SPDX-License-Identifier: AGPL-3.0-only
"""Where every figure comes from: records, machines and versions, and the list of all figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offline_tools.report.archive import Archive
from offline_tools.report.document import Column, Document, Section, row, table
from offline_tools.report.layout import source_of
from offline_tools.report.records import Node, Record
from offline_tools.report.text import Code, prose
from offline_tools.report.values import Label, Source, Value

_MACHINE = ("machine", "machines", "device", "train_device")
_COUNTS = ("cpu_count", "memory_gb")
_VERSIONS = ("versions", "runtime")


def provenance(archive: Archive, values: Iterable[Value]) -> Section:
    """Section "Provenance", over all figures shown before it."""
    section = Section("provenance", "Provenance")
    values = list(values)
    section.say(
        "Each figure of this report stands in a file that a tool wrote. On screen, a pointer over a figure shows "
        "where; the list at the end holds them all. Files are told apart by the first digits of their SHA hash."
    )
    _records(section, archive, values)
    _machines(section, archive)
    if values:
        section.add(
            table(
                [Column("figure"), Column("kind", False), Column("source", False)],
                [row(value, ", ".join(kind.value for kind in value.kinds), Code(source_of(value))) for value in values],
                prose("All figures, in the order in which they first appear."),
                small=True,
            )
        )
    return section


def _records(section: Section, archive: Archive, values: list[Value]) -> None:
    used: dict[str, set[Source]] = {}
    for value in values:
        for source in value.sources:
            used.setdefault(source.record, set()).add(source)
    rows = []
    for record in archive.records.values():
        here = Source(record.name, "", record.kind)
        if record.name in used:
            count = Value(float(len(used[record.name])), (here,), 0, how="keys used")
            rows.append(
                row(
                    Code(record.name),
                    record.kind.value,
                    Label(record.sha256[:12], here),
                    _date(record),
                    count,
                    Code(record.command),
                )
            )
    section.add(
        table(
            [
                Column("record", False),
                Column("kind", False),
                Column("hash", False),
                Column("date", False),
                Column("keys used"),
                Column("written by", False),
            ],
            rows,
            prose("The records that this report was made from."),
        )
    )


def _machines(section: Section, archive: Archive) -> None:
    rows = []
    for record in archive.records.values():
        machines = list(_described(record.root, _MACHINE))
        versions = list(_described(record.root, _VERSIONS))
        if machines or versions:
            rows.append(row(Code(record.name), _joined(machines), _merged(record.root) or _joined(versions)))
    section.add(
        table(
            [Column("record", False), Column("hardware", False), Column("versions", False)],
            rows,
            prose("Hardware and versions behind each record; records without a row note neither."),
        )
    )


def _described(root: Node, keys: tuple[str, ...]) -> Iterator[Label]:
    for key in keys:
        node = root.find(key) if isinstance(root.content, dict) else None
        if node is not None and node.content:
            nodes = list(node) if isinstance(node.content, list) else [node]
            for one in nodes:
                yield Label(_flat(one.content), one.source)


def _flat(content: object) -> str:
    """The scalars of a mapping; what a machine did at that moment, and figures, are left out."""
    if not isinstance(content, dict):
        return str(content)
    names = [
        (str(key), value) for key, value in content.items() if value and (isinstance(value, str) or key in _COUNTS)
    ]
    return ", ".join(str(value) if key in ("machine", "gpu", "cpu") else f"{key} {value}" for key, value in names)


def _joined(labels: list[Label]) -> Label | None:
    if not labels:
        return None
    texts = list(dict.fromkeys(label.text for label in labels))
    return Label("; ".join(texts), labels[0].source)


def _merged(root: Node) -> Label | None:
    """Of a record with several sets of versions each package once; None of others."""
    node = root.find("versions")
    if node is None or not isinstance(node.content, list):
        return None
    found: dict[str, dict[str, None]] = {}
    for one in node.content:
        for name, version in one.items():
            found.setdefault(name, {})[str(version)] = None
    return Label(", ".join(f"{name} {' or '.join(seen)}" for name, seen in found.items()), node.source)


def _date(record: Record) -> Label | None:
    node = record.root.find("date") if isinstance(record.content, dict) else None
    return node.label() if node else None


def all_values(sections: Iterable[Section]) -> list[Value]:
    """The figures of these sections, in order, each once."""
    return Document("", "", "", tuple(sections)).values()
