# SPDX-License-Identifier: AGPL-3.0-only
"""Puts the sections together, then looks every figure up again in the records."""

from __future__ import annotations

from datetime import datetime

from offline_tools.report.archive import Archive
from offline_tools.report.document import Document, Section
from offline_tools.report.records import Record, RecordError, follow, readable
from offline_tools.report.sections import gate
from offline_tools.report.sections.ablation import ablation
from offline_tools.report.sections.adaptive import adaptive
from offline_tools.report.sections.breakdown import breakdown
from offline_tools.report.sections.conclusion import conclusion
from offline_tools.report.sections.data import data
from offline_tools.report.sections.discussion import discussion
from offline_tools.report.sections.latency import latency
from offline_tools.report.sections.method import method
from offline_tools.report.sections.problem import problem
from offline_tools.report.sections.provenance import all_values, provenance
from offline_tools.report.sections.quantized import quantized
from offline_tools.report.sections.related import related
from offline_tools.report.sections.stereo import stereo
from offline_tools.report.sections.summary import summary
from offline_tools.report.sections.variants import trained
from offline_tools.report.values import Value


def write(archive: Archive, when: datetime, commit: str) -> Document:
    """The whole report. Raises RecordError where a record lacks what it must hold, or contradicts itself."""
    gate.check_decision(archive)
    results = Section("results", "Results")
    results.sections = [
        tell(archive) for tell in (gate.gate, trained, ablation, breakdown, latency, quantized, adaptive, stereo)
    ]
    sections = [
        summary(archive),
        problem(archive),
        related(),
        method(archive),
        data(archive),
        results,
        discussion(archive),
        conclusion(archive),
    ]
    sections.append(provenance(archive, all_values(sections)))
    made = f"Written {when:%Y-%m-%d %H:%M} UTC by cone-tools report" + (f" at commit {commit}" if commit else "")
    document = Document(
        "Cone detection at camera rate: a two-branch campaign",
        "Accuracy and latency of stereo cone detectors for a Formula Student driverless car",
        made,
        tuple(sections),
    )
    verify(archive, document.values())
    return document


def verify(archive: Archive, values: list[Value]) -> None:
    """Looks each figure that was read, and each that a computed one rests on, up again.

    Raises RecordError where a figure's record or key does not exist, or holds another number.
    """
    for value in values:
        for source in value.sources:
            record = archive.records.get(source.record)
            if record is None:
                raise RecordError(f"{value.text} is said to come from {source.record}, which was not read")
            found = _look_up(record, source.key)
            if not value.how and float(found) != value.number:
                raise RecordError(f"{source.record}: {readable(source.key)} is {found}, the report says {value.number}")


def _look_up(record: Record, key: str):  # type: ignore[no-untyped-def]
    try:
        return follow(record.content, key)
    except (KeyError, IndexError, TypeError) as error:
        raise RecordError(f"{record.name} has no {readable(key)}, which the report refers to") from error
