# SPDX-License-Identifier: AGPL-3.0-only
"""Accuracy by class and by size of the cone, which the means of the ablation hide."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, heading, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import Part, prose
from offline_tools.report.values import Label, percent


def breakdown(archive: Archive) -> Section:
    """Section "By class and by size", of the file that is best on test, or on validation where none was looked at."""
    section = Section("breakdown", "By class and by size")
    record = archive.find("accuracy.json")
    entries = list(record.at("models")) if record else []
    if not entries:
        section.miss(KNOWN["accuracy.json"].what, KNOWN["accuracy.json"].command)
        return section
    looked = [entry for entry in entries if entry.at("split").content == "test"] or entries
    best = max(looked, key=lambda entry: entry.at("map50").value().number)
    same = {str(one.at("split").content): one for one in entries if one.at("file").content == best.at("file").content}
    rows = [*_rows("class", "per_class", same), *_rows("height on the 640 canvas", "by_height", same)]
    columns = [Column(title, group=split) for split in same for title in ("labels", "mAP50", "recall")]
    section.add(
        table(
            [Column("", False), *columns],
            rows,
            prose(
                "Accuracy of {file} by class and by the cone's height, through the car's own detector.",
                file=best.at("file").label(),
            ),
        )
    )
    _spread(section, best)
    smallest = _smallest(best)
    if smallest is not None:
        section.say(
            "Of the smallest cones ({name}) the published network finds {recall} on {split}: what is far is what any "
            "gain must come from, and what a mean over all cones hides.",
            name=smallest.named,
            recall=percent(smallest.at("recall").value(), 0),
            split=best.at("split").label(),
        )
    return section


def _rows(title: str, key: str, same: dict[str, Node]) -> list[Row]:
    names: dict[str, Label] = {}
    for entry in same.values():
        for node in entry.find(key) or ():
            names.setdefault(node.name, node.named)
    if not names:
        return []
    return [heading(title), *(row(_plain(label), *_cells(name, key, same)) for name, label in names.items())]


def _cells(name: str, key: str, same: dict[str, Node]) -> list[Part | None]:
    cells: list[Part | None] = []
    for entry in same.values():
        node = entry.find(key, name)
        cells += (
            [node.at("labels").value(0), node.at("map50").value(), node.at("recall").value()] if node else [None] * 3
        )
    return cells


def _spread(section: Section, entry: Node) -> None:
    """Says how unlike the classes are behind the mean of an evaluation."""
    classes = sorted(entry.at("per_class"), key=lambda one: one.at("map50").value().number)
    if len(classes) < 2:
        return
    weakest, strongest = classes[0], classes[-1]
    section.say(
        "Behind the mean of {mean} on {split} stand {low} for the {weak} with {few} labels and {high} for the "
        "{strong} with {many}: each class weighs the same in it, however often it stands beside the track.",
        mean=entry.at("map50").value(),
        split=entry.at("split").label(),
        low=weakest.at("map50").value(),
        weak=_plain(weakest.named),
        few=weakest.at("labels").value(0),
        high=strongest.at("map50").value(),
        strong=_plain(strongest.named),
        many=strongest.at("labels").value(0),
    )


def _smallest(entry: Node) -> Node | None:
    heights = entry.find("by_height")
    return next(iter(heights), None) if heights and heights.content else None


def _plain(label: Label) -> Label:
    return Label(label.text.replace("_", " "), label.source)
