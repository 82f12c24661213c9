# SPDX-License-Identifier: AGPL-3.0-only
"""The conclusion: which success tier is reached, where, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, row, table
from offline_tools.report.engines import Entry
from offline_tools.report.platforms import CAR, entries
from offline_tools.report.text import Code, listed, prose
from offline_tools.report.tiers import Judgement, judge, tiers
from offline_tools.report.values import Kind
from offline_tools.report.variants import halted, names_of

Judged = tuple[Entry, str, Judgement]


def conclusion(archive: Archive) -> Section:
    """Section "Conclusion"."""
    section = Section("conclusion", "Conclusion")
    section.add(
        table(
            [
                Column("tier", False),
                Column("mAP50, at least"),
                Column("latency, at most"),
                Column("speed-up, at least"),
            ],
            [row(tier.name, tier.map50, tier.latency, tier.speed_up) for tier in tiers(archive)],
            prose("What the plan asks for. It asks it of the car's RTX 4060, and of FSOCO-12, which we do not have."),
        )
    )
    verdict(section, archive)
    judged = judgements(archive)
    if judged:
        words = [Column(title, False) for title in ("platform", "engine", "split")]
        figures = [Column("mAP50"), Column("latency, ms"), Column("speed-up")]
        section.add(
            table(
                [*words, *figures, Column("tier", False), Column("falls short in", False)],
                [_row(*one) for one in judged],
                prose(
                    "Each engine that has an accuracy and a latency, against the tiers. Only rows of the RTX 4060 "
                    "count; the others show what the same code does elsewhere."
                ),
            )
        )
    _limits(section, archive, judged)
    return section


def judgements(archive: Archive) -> list[Judged]:
    """Each engine on validation and, where it was looked at, on test."""
    found: list[Judged] = []
    for entry in entries(archive):
        # A policy's sequences, or a campaign on other images, are no validation that a tier could be judged by.
        if entry.latency is None or entry.accuracy is None or entry.accuracy.data != "val":
            continue
        found.append((entry, "val", judge(archive, entry.accuracy.map50, entry.latency)))
        if entry.test is not None:
            found.append((entry, "test", judge(archive, entry.test, entry.latency)))
    return found


def verdict(section: Section, archive: Archive) -> None:
    """The headline: the best tier on the car's GPU, by test and by validation."""
    order = [tier.name for tier in tiers(archive)]
    judged = [one for one in judgements(archive) if one[0].platform.text == CAR]
    if not judged:
        section.say(
            "**No tier can be claimed:** nothing is recorded of the car's RTX 4060 for an engine whose accuracy is "
            "known. What is missing is made by {command}.",
            command=Code(KNOWN["rtx4060.json"].command),
        )
        return
    for split in ("test", "val"):
        of_split = [one for one in judged if one[1] == split]
        if of_split:
            _best(section, split, min(of_split, key=lambda one: _rank(one[2], order)))
        else:
            section.say(f"No engine that was projected to the car's GPU has an accuracy on {split}.")


def _best(section: Section, split: str, judged: Judged) -> None:
    entry, _, found = judged
    title = f"the tier reached is {found.tier.name}" if found.tier else "no tier is reached"
    kinds = " and ".join(kind.value for kind in found.latency.kinds)
    section.say(
        f"**By {split}, {title}.** "
        "{model} {precision} at {canvas}: mAP50 {map50}, {latency}, {speed_up} as fast as the plan's baseline{short}. "
        f"The latency is {kinds}, not timed on the car.",
        model=entry.model,
        precision=entry.precision,
        canvas=entry.resolution,
        map50=found.map50,
        latency=found.latency.shown(unit=" ms"),
        speed_up=found.speed_up,
        short=prose("; it falls short in {what}", what=listed(found.short)) if found.short else (),
    )


def _row(entry: Entry, split: str, found: Judgement) -> Row:
    return row(
        entry.platform,
        (entry.model, " ", entry.precision, " ", entry.resolution),
        split,
        found.map50,
        found.latency,
        found.speed_up if found.speed_up.number >= 1 else found.speed_up.shown(2),
        found.tier.name if found.tier else "none",
        ", ".join(found.short) or None,
        strong=found.tier is not None and entry.platform.text == CAR,
    )


def _rank(found: Judgement, order: Sequence[str]) -> tuple[int, int, float, float]:
    place = order.index(found.tier.name) if found.tier else len(order)
    return place, len(found.short), -round(found.map50.number, 3), found.latency.number


def _limits(section: Section, archive: Archive, judged: Sequence[Judged]) -> None:
    items = [
        prose(
            "Accuracy was measured on the splits named above. The plan's baseline was claimed on other images; "
            "neither side of the comparison was evaluated on the other's."
        ),
        prose(
            "The plan's speed-up compares our stereo pair on one machine with another team's network on another. The "
            "speed-ups against our own measured baselines are the ones to rely on."
        ),
    ]
    if any(Kind.SIMULATED in found.latency.kinds for _, _, found in judged):
        items.append(
            prose(
                "The latency on the car's GPU is a projection. It is to be measured on the car before a race depends "
                "on it."
            )
        )
    if stopped := halted(archive):
        items.append(
            prose(
                "The campaign is not complete: the trainings of {names} did not finish. Nothing is concluded on them, "
                "nor on what they were to be compared with.",
                names=listed(names_of(stopped)),
            )
        )
    if archive.missing:
        items.append(
            prose(
                "Records that were not there when this report was written: {files}. The sections that need them say "
                "how they are made.",
                files=listed([Code(one.file) for one in archive.missing]),
            )
        )
    section.points(*items)
