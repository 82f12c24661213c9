# SPDX-License-Identifier: AGPL-3.0-only
"""Why each training technique helped or not. Which sentence is written depends on the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Section
from offline_tools.report.sections.discussion_engines import engines
from offline_tools.report.sections.discussion_reasons import distilled, pruned, regnet
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.variants import Comparison, Halted, Variant, comparisons, halted, names_of, variants

_VERDICTS = {
    "helped": "It helped: the gain is more than twice its standard error.",
    "hurt": "It hurt: the loss is more than twice its standard error.",
    "unclear": "Neither help nor harm can be shown: the difference lies within twice its standard error.",
    "untested": "A side of the comparison has a single run, so this cannot be told from the noise between seeds.",
}
Reasons = Callable[[Comparison, Sequence[Variant]], Parts]


def discussion(archive: Archive) -> Section:
    """Section "Discussion"."""
    section = Section("discussion", "Discussion")
    found, stopped = variants(archive), halted(archive)
    if found or stopped:
        floats = [one for one in found if one.precision == "fp32"] or found
        for technique, title, reasons in (
            ("distill", "Distillation", distilled),
            ("backbone", "RegNet", regnet),
            ("prune", "Pruning", partial(pruned, archive)),
        ):
            pairs = comparisons(floats, technique)
            compared = {pair.variant.name for pair in pairs}
            alone = [one for one in floats if one.technique == technique and one.name not in compared]
            _technique(section, title, pairs, floats, reasons)
            lead = "" if pairs else f"**{title}.** "
            _alone(section, lead, alone, stopped)
            mine = [one for one in stopped if one.technique == technique]
            _halted(section, "" if alone else lead, mine, stopped)
            if not (pairs or alone or mine):
                section.miss(f"{title}: a variant and what it is to be compared with", KNOWN["campaign.json"].command)
    else:
        section.miss("distillation, RegNet and pruning beside direct training", KNOWN["campaign.json"].command)
    engines(section, archive)
    return section


def _technique(
    section: Section, title: str, pairs: Sequence[Comparison], found: Sequence[Variant], reasons: Reasons
) -> None:
    for number, pair in enumerate(pairs):
        section.say(
            (f"**{title}.** " if number == 0 else "")
            + "{variant} reaches {map50} where {baseline} reaches {other}: {gain}{error} of mAP50 on validation. "
            + _VERDICTS[pair.verdict]
            + " {budget}{reasons}",
            variant=pair.variant.name,
            map50=pair.mine,
            baseline=pair.baseline.name,
            other=pair.other,
            gain=pair.gain,
            error=(" ± ", pair.error) if pair.error else (),
            budget=_budget(pair),
            reasons=reasons(pair, found),
        )


def _alone(section: Section, lead: str, alone: Sequence[Variant], stopped: Sequence[Halted]) -> None:
    """Variants that were trained and have nothing beside them to be judged by."""
    for number, one in enumerate(alone):
        section.say(
            (lead if number == 0 else "") + "{variant} reaches an mAP50 of {map50} on validation after {epochs} "
            "epochs (runs: {seeds}). Whether the technique helped or hurt cannot be told: {why}.{start}",
            variant=one.name,
            map50=one.map50,
            epochs=one.node.at("epochs").value(0),
            seeds=one.seeds,
            why=_why_alone(one, stopped),
            start=_start(one),
        )


def _why_alone(one: Variant, stopped: Sequence[Halted]) -> Parts:
    if one.parent.startswith("@"):
        return prose("the network that it was pruned from is no finished variant of the campaign")
    labels = names_of(other for other in stopped if other.technique == "direct")
    if not labels:
        return prose("the campaign has no direct training of the same model")
    return prose(
        "the training that differs from it by the technique alone ({names}) did not finish, and other architectures "
        "differ from it in more than that",
        names=listed(labels),
    )


def _start(one: Variant) -> Parts:
    found = one.node.find("imagenet_weights")
    if found is None or found.content:
        return ()
    return prose(
        " It was meant to start from ImageNet's weights, which could not be had where it was trained: it started from "
        "random ones, and its figures hold for that alone."
    )


def _halted(section: Section, lead: str, mine: Sequence[Halted], stopped: Sequence[Halted]) -> None:
    """Trainings of a technique that did not end: how far they got, and that this is no result."""
    if not mine:
        return
    section.say(
        lead + "Unfinished, so without a result: {runs}. Whether the technique helps or hurts is not known.{seen}",
        runs=listed([_reached(mine, name.text) for name in names_of(mine)]),
        seen=_seen(mine, [one for one in stopped if one.technique == "direct"]),
    )


def _reached(mine: Sequence[Halted], name: str) -> Parts:
    runs = [one for one in mine if one.name.text == name]
    return prose(
        "{name} (stopped after {done} of {planned} epochs)",
        name=runs[0].name,
        done=listed([one.done for one in runs]),
        planned=runs[0].planned,
    )


def _seen(mine: Sequence[Halted], direct: Sequence[Halted]) -> Parts:
    """What the trainer saw of several seeds at the last epoch that all have, beside direct training, unfinished too."""
    groups = [[one for one in mine if one.name.text == name.text] for name in names_of(mine)]
    groups = [group for group in groups if len(group) > 1]
    if not groups or len(direct) < 2:
        return ()
    runs = max(groups, key=len)
    epoch = min(len(one.seen.content) for one in (*runs, *direct))
    if epoch == 0:
        return ()
    shortest = next(one for one in (*runs, *direct) if len(one.seen.content) == epoch)
    return prose(
        " The trainer's own validation at epoch {epoch}, the last that all of these runs have, in the middle of "
        "training: {mine} of {name}, {other} of {direct}, untaught. A learning rate that has not fallen yet decides "
        "nothing.",
        epoch=shortest.seen.count(),
        mine=_spread(runs, epoch),
        name=runs[0].name,
        other=_spread(direct, epoch),
        direct=direct[0].name,
    )


def _spread(runs: Sequence[Halted], epoch: int) -> Parts:
    return listed([one.after(epoch) for one in runs])


def _budget(pair: Comparison) -> Parts:
    mine, other = (one.node.at("epochs").value(0) for one in (pair.variant, pair.baseline))
    if mine.number == other.number:
        return prose("Both were trained for {epochs} epochs.", epochs=mine)
    return prose("The budgets differ: {mine} epochs against {other}.", mine=mine, other=other)
