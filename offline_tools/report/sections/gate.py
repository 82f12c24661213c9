# SPDX-License-Identifier: AGPL-3.0-only
"""The gate's decision, with its evidence."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, row, table
from offline_tools.report.records import Node, RecordError
from offline_tools.report.text import Parts, prose
from offline_tools.report.values import Value, difference
from offline_tools.report.variants import variants

_SAYS = {"A": "branch A goes on", "B": "pivot to branch B", "both": "both branches are trained and compared"}


def gate(archive: Archive) -> Section:
    """Section "The gate"."""
    section = Section("gate", "The gate")
    decided = recorded(archive)
    if decided is None:
        section.miss("the gate's decision", KNOWN["campaign.json"].command)
        return section
    value, decision = decided.at("value").value(4), decided.at("decision").label()
    variant = decided.find("variant")
    section.say(
        "The best of branch A ({metric}, of several seeds the mean) is {value}{of}. {reading} Recorded decision: "
        "{decision} ({means}).{budget}",
        metric=decided.at("metric").label(),
        value=value,
        of=(", of ", variant.label()) if variant else (),
        reading=_reading(value, *_limits(archive, decided)),
        decision=decision,
        means=_SAYS.get(decision.text, "in the words of the record"),
        budget=_budget(archive, variant.content if variant else None),
    )
    evidence = decided.find("evidence")
    if evidence is not None and evidence.content:
        section.add(
            table(
                [
                    Column("run", False),
                    Column("mAP50"),
                    Column("split", False),
                    Column("images"),
                    Column("model hash", False),
                    Column("data hash", False),
                ],
                [_evidence(one) for one in evidence],
                prose("The evaluations that the gate decided by."),
            )
        )
    return section


def _budget(archive: Archive, name: object) -> Parts:
    """That the gate was passed with fewer epochs than the plan gives; nothing where it was not so."""
    plan = archive.targets.at("gate", "epochs").value(0)
    mine = next((one.node.at("epochs").value(0) for one in variants(archive) if one.name.text == name), None)
    if mine is None or mine.number >= plan.number:
        return ()
    return prose(
        " It was trained for {mine} epochs where the plan gives {plan}: the decision holds for this budget, not for "
        "the plan's.",
        mine=mine,
        plan=plan,
    )


def recorded(archive: Archive) -> Node | None:
    """The campaign's gate, None where it came to none. Raises RecordError where it lacks a key."""
    campaign = archive.find("campaign.json")
    decided = campaign.at("gate") if campaign else None
    if decided is None or decided.content is None:
        return None
    for key in ("metric", "value", "decision"):
        decided.at(key)
    return decided


def decision_of(value: float, above: float, below: float) -> str:
    """What the plan's rule says: above goes on with A, below pivots to B, between is both."""
    return "A" if value > above else "B" if value < below else "both"


def check_decision(archive: Archive) -> None:
    """Raises RecordError where the recorded decision is not what the recorded value and limits say."""
    decided = recorded(archive)
    if decided is None:
        return
    above, below = _limits(archive, decided)
    ruled = decision_of(decided.at("value").value().number, above.number, below.number)
    said = str(decided.at("decision").content)
    if said in _SAYS and said != ruled:
        raise RecordError(
            f"campaign.json: the gate's decision is '{said}', but by its own value it is '{ruled}': "
            f"write it anew with {KNOWN['campaign.json'].command}"
        )


def _limits(archive: Archive, decided: Node) -> tuple[Value, Value]:
    """Above and below: the campaign's own limits where it notes them, else the plan's."""
    targets = archive.targets.at("gate")
    above, below = (
        decided.find("above") or targets.at("go_on_above"),
        decided.find("below") or targets.at("pivot_below"),
    )
    return above.value(2), below.value(2)


def _reading(value: Value, above: Value, below: Value) -> Parts:
    ruled = decision_of(value.number, above.number, below.number)
    if ruled == "A":
        return prose(
            "That is {by} above the limit of {limit}.", by=difference(value, above, 4).shown(signed=False), limit=above
        )
    if ruled == "B":
        return prose(
            "That is {by} below the limit of {limit}.", by=difference(below, value, 4).shown(signed=False), limit=below
        )
    return prose("That lies between {below} and {above}.", below=below, above=above)


def _evidence(one: Node) -> Row:
    return row(
        one.at("run").label(),
        one.at("map50").value(4),
        one.at("split").label(),
        one.at("images").value(0),
        one.at("model_sha256").label().cut(10),
        one.at("data_sha256").label().cut(10),
    )
