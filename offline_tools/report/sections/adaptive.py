# SPDX-License-Identifier: AGPL-3.0-only
"""The adaptive policies: cost against accuracy, on each machine that they were judged for."""

from __future__ import annotations

from offline_tools.report.archive import ADAPTIVE_ON_THE_CAR, KNOWN, Archive
from offline_tools.report.charts.scatter import Point, scatter
from offline_tools.report.document import Column, Figure, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import prose
from offline_tools.report.values import Kind, Label, Value, percent, total

# Each begins with the word with which its policies' names begin.
_FAMILIES = ("fixed", "cascade", "band", "zoom", "640 first", "predictive")
_STEP = 0.01
_COLUMNS = ("cost, mean", "cost, p99", "second pass", "mAP50", "far recall", "near recall", "precision")


def adaptive(archive: Archive) -> Section:
    """Section "Adaptive policies"."""
    section = Section("adaptive", "Adaptive policies")
    record = archive.find("adaptive.json")
    if record is None:
        section.miss(KNOWN["adaptive.json"].what, KNOWN["adaptive.json"].command)
        return section
    section.say(
        "Policies are judged on {frames} frames of {count} driving sequences, real and rendered, with {model} "
        "{precision}. Far and near cones are told apart by their height on the canvas; recall is at the published "
        "confidence.",
        frames=total([node.value(0) for node in record.at("data", "sequences")], 0),
        count=record.at("data", "sequences").count(),
        model=record.at("model", "name").label(),
        precision=record.at("model", "precision").label(),
    )
    for machine in record.at("machines"):
        _table(section, machine)
        _chart(section, machine)
    paced = record.find("paced")
    if paced is not None:
        section.say(
            "Paced at {rate} for {seconds} with a deadline of {deadline}: of {frames} frames {late} were late "
            "whatever the policy did, {forbidden} second passes were forbidden, and {misses} that ran made their "
            "frame late.",
            rate=paced.at("rate_hz").value(1, " Hz"),
            seconds=paced.at("seconds").value(0, " s"),
            deadline=paced.at("deadline_ms").value(1, " ms"),
            **{key: paced.at(key).value(0) for key in ("frames", "late", "forbidden", "misses")},
        )
    _on_the_car(section, archive)
    return section


def _on_the_car(section: Section, archive: Archive) -> None:
    record = archive.find(ADAPTIVE_ON_THE_CAR)
    if record is None:
        section.miss(KNOWN[ADAPTIVE_ON_THE_CAR].what, KNOWN[ADAPTIVE_ON_THE_CAR].command)
        return
    for machine in record.at("machines"):
        section.say(
            "**On the car's GPU.** The same replay, at costs projected for {machine}, which may be off by {error}; "
            "what the policies find was measured, on the CPU. Chosen is “{policy}”.",
            machine=machine.at("machine").label(),
            error=machine.at("error_pct").value(0, " %"),
            policy=machine.at("chosen", "name").label(),
        )
        _table(section, machine)
        _chart(section, machine)


def _table(section: Section, machine: Node) -> None:
    tried = list(machine.at("tried"))
    chosen, original = machine.at("chosen", "name").content, machine.at("cascade")
    shown = [one for one in tried if one.name == chosen or one.name in _front(tried) or _always(one.name)]
    shown.sort(key=lambda one: one.at("cost_ratio").value().number)
    rows = [_row(one, one.named, one.name == chosen) for one in shown]
    rows.append(_row(original, Label("the plan's cascade", original.source), False))
    section.add(
        table(
            [Column("policy", False), *(Column(title) for title in _COLUMNS)],
            rows,
            prose(
                "Policies on {machine}: the fixed ones, the Pareto front of mAP50 against mean cost in steps of a "
                "point, and the chosen one, which stands out. Cost is relative to fixed 640.",
                machine=machine.at("machine").label(),
            ),
        )
    )


def _chart(section: Section, machine: Node) -> None:
    chosen = machine.at("chosen", "name").content
    points = [
        Point(
            one.at("cost_ratio").value(2),
            one.at("map50").value(kind=Kind.MEASURED),
            _family(one.name),
            one.name if one.name == chosen or _always(one.name) else "",
        )
        # The fixed ones last: others meet them, and would hide them.
        for one in sorted(machine.at("tried"), key=lambda one: one.name.startswith("fixed"))
    ]
    used: list[Value] = [value for point in points for value in (point.x, point.y)]
    section.add(
        Figure(
            lambda colours: scatter(points, "mean cost of a pair / fixed 640", "mAP50", colours),
            tuple(used),
            prose(
                "All policies tried on {machine}. Right of one, a policy costs more than always looking at 640.",
                machine=machine.at("machine").label(),
            ),
            "scatter: mAP50 of each policy against its mean cost",
        )
    )


def _row(one: Node, name: Label, strong: bool) -> Row:
    return row(
        name,
        one.at("cost_ratio").value(2),
        one.at("p99_cost_ratio").value(2),
        # Where the costs are simulated, what was seen in the replay is not.
        percent(one.at("escalation_rate").value(kind=Kind.MEASURED), 0),
        *(one.at(key).value(kind=Kind.MEASURED) for key in ("map50", "far_recall", "near_recall", "precision")),
        strong=strong,
    )


def _front(tried: list[Node]) -> set[str]:
    """Policies that no cheaper one beats, thinned: each finds at least a point more than the one before."""
    names, best = set(), -1.0
    for one in sorted(tried, key=lambda one: (one.at("cost_ratio").value().number, -one.at("map50").value().number)):
        if one.at("map50").value().number >= best + _STEP:
            best = one.at("map50").value().number
            names.add(one.name)
    return names


def _always(name: str) -> bool:
    return name.startswith("fixed") or name.endswith("always")


def _family(name: str) -> str:
    return next((family for family in _FAMILIES if name.startswith(family.split()[0])), "other")
