# SPDX-License-Identifier: AGPL-3.0-only
"""Eight bits: float beside INT8 of the same weights, and module by module."""

from __future__ import annotations

from collections.abc import Iterator

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import prose
from offline_tools.report.values import points


def quantized(archive: Archive) -> Section:
    """Section "Eight bits"."""
    section = Section("int8", "Eight bits")
    pairs = list(int8_pairs(archive))
    if pairs:
        words = [Column(title, False) for title in ("model", "pass", "split", "run by")]
        figures = [
            Column("float mAP50"),
            Column("INT8 mAP50"),
            Column("mAP50", group="change"),
            Column("mAP50-95", group="change"),
        ]
        section.add(
            table(
                words + figures,
                [_row(*pair) for pair in pairs],
                prose(
                    "INT8 beside the float network with the same weights on the same images. A file run by onnx is "
                    "TensorRT's Q/DQ file, executed by ONNX Runtime; a plan built from it may differ."
                ),
            )
        )
    else:
        section.miss("INT8 beside float on the same images", KNOWN["accuracy.json"].command)
    parts = archive.find("sensitivity.json")
    if parts is None:
        section.miss(KNOWN["sensitivity.json"].what, KNOWN["sensitivity.json"].command)
    else:
        _modules(section, parts)
    return section


def int8_pairs(archive: Archive) -> Iterator[tuple[Node, Node]]:
    """Each INT8 entry of accuracy.json with the float one of the same model, pass, split and images."""
    record = archive.find("accuracy.json")
    everything = list(record.at("models")) if record else []
    keys = ("name", "resolution", "split", "data_sha256")
    for one in everything:
        if one.at("precision").content == "int8":
            for other in everything:
                alike = all(one.at(key).content == other.at(key).content for key in keys)
                if alike and other.at("precision").content == "fp32":
                    yield one, other
                    break


def _row(one: Node, other: Node) -> Row:
    return row(
        *(one.at(key).label() for key in ("name", "resolution", "split", "runtime")),
        other.at("map50").value(),
        one.at("map50").value(),
        points(one.at("map50").value(), other.at("map50").value()),
        points(one.at("map50_95").value(), other.at("map50_95").value()),
    )


def _modules(section: Section, parts: Node) -> None:
    worst = max(parts.at("parts"), key=lambda one: one.at("loss_pt").value().number)
    every = parts.at("every").value(0)
    section.say(
        "One module at a time, INT8 costs at most {most} of mAP50 (module {module}); all together it changes by "
        "{all}, over every {every} frame of {split}.",
        most=worst.at("loss_pt").value(2, " points"),
        module=worst.at("part").label(),
        all=points(parts.at("map50_int8").value(), parts.at("map50_float").value()).shown(2),
        every=every.shown(unit={1: "st", 2: "nd", 3: "rd"}.get(int(every.number), "th")),
        split=parts.at("split").label(),
    )
