# SPDX-License-Identifier: AGPL-3.0-only
"""The trained variants: a table, a chart, and the runs made before the campaign."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.charts.bars import Dot, dots
from offline_tools.report.document import Column, Figure, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.values import Label, Value, computed
from offline_tools.report.variants import Variant, best, halted, variants
from offline_tools.results import MAP50, MAP50_95


def trained(archive: Archive) -> Section:
    """Section "Trained variants"."""
    section = Section("variants", "Trained variants")
    found = variants(archive)
    if found:
        _campaign(section, archive, found)
        _chart(section, archive, found)
    else:
        section.miss(KNOWN["campaign.json"].what, KNOWN["campaign.json"].command)
    _halted(section, archive)
    _chosen(section, archive)
    runs = list(archive.training())
    if runs:
        _runs(section, runs, found)
    return section


def _campaign(section: Section, archive: Archive, found: list[Variant]) -> None:
    words = [Column("variant", False), Column("technique", False), Column("precision", False)]
    figures = ["epochs", "seeds", "val mAP50", "params, M", "GFLOPs", "latency, ms"]
    winner = best(found)
    section.add(
        table(
            words + [Column(title) for title in figures],
            [_row(one, one == winner) for one in found],
            prose(
                "The campaign's variants, on validation; of several seeds the mean and its standard deviation. The "
                "best but for teachers stands out. ‡ by the trainer, with its own letterbox. Latency: two camera "
                "images to boxes, on the machine that the ablation names."
            ),
            _unfinished(archive),
        )
    )


def _row(one: Variant, strong: bool) -> Row:
    params = one.figure("params", 0)
    return row(
        one.name,
        one.technique_label,
        one.node.at("precision").label(),
        one.node.at("epochs").value(0),
        one.seeds,
        (*_map50(one), " ‡") if one.measured_by == "trainer" else _map50(one),
        computed("params / 1e6", lambda count: count / 1e6, params, digits=2) if params else None,
        one.figure("gflops", 1),
        one.figure("latency_ms", 2),
        strong=strong,
    )


def _map50(one: Variant) -> Parts:
    return (one.map50, " ± ", one.deviation) if one.deviation else (one.map50,)


def _chart(section: Section, archive: Archive, found: list[Variant]) -> None:
    drawn = [Dot(f"{one.name.text} {one.precision}", one.map50, one.deviation, one.technique) for one in found]
    limits = archive.targets.at("gate")
    levels = (("pivot", limits.at("pivot_below").value(2)), ("go on", limits.at("go_on_above").value(2)))
    used: list[Value] = [value for dot in drawn for value in (dot.value, dot.deviation) if value]
    section.add(
        Figure(
            lambda colours: dots(drawn, "mAP50 on validation", colours, levels=levels),
            tuple(used + [value for _, value in levels]),
            prose(
                "Validation mAP50 of each variant, with one standard deviation to each side where several seeds were "
                "trained, and the gate's limits."
            ),
            "dots: validation mAP50 of each trained variant",
        )
    )


def _halted(section: Section, archive: Archive) -> None:
    stopped = halted(archive)
    if not stopped:
        return
    words = [Column("variant", False), Column("technique", False)]
    figures = ["seed", "epochs done", "epochs planned", "trainer's val mAP50 there"]
    section.add(
        table(
            words + [Column(title) for title in figures],
            [
                row(
                    one.name,
                    one.technique_label,
                    one.node.at("seed").value(0),
                    one.done,
                    one.planned,
                    one.after(len(one.seen.content)) if one.seen.content else None,
                )
                for one in stopped
            ],
            prose(
                "Unfinished trainings: not results. They had not ended when the record was written; what their trainer "
                "saw at the last epoch stands here to say how far they were, not what they are worth."
            ),
        )
    )


def _chosen(section: Section, archive: Archive) -> None:
    campaign = archive.find("campaign.json")
    chosen, final = (campaign.find(key) for key in ("chosen", "final_test")) if campaign else (None, None)
    if chosen is None:
        return
    section.say(
        "The campaign chose {variant} {precision} on validation: {why}.{outside}{unfinished}{test}",
        variant=chosen.at("variant").label(),
        precision=chosen.at("precision").label(),
        why=why.label() if (why := chosen.find("why")) else "its record gives no reason",
        outside=_outside(chosen),
        unfinished=prose(" Variants whose training did not finish could not compete.") if halted(archive) else (),
        test=prose(" Its one look at test: mAP50 {map50}.", map50=final.at("map50").value())
        if final
        else " It was not looked at on test.",
    )


def _outside(chosen: Node) -> Parts:
    """Engines that the gate kept out of the choice though they are better and faster than the chosen one."""
    candidates = list(chosen.find("candidates") or ())
    mine = next((one for one in candidates if one.at("name").content == chosen.at("variant").content), None)
    if mine is None:
        return ()
    better = [
        one.at("name").label()
        for one in candidates
        if not one.at("in_the_running").content
        and one.at("map50_val").content >= mine.at("map50_val").content
        and one.at("latency_ms").content <= mine.at("latency_ms").content
    ]
    if not better:
        return ()
    return prose(
        " The gate's decision kept {names} out of this choice, though it has no lower mAP50 and is no slower than the "
        "chosen one: the choice follows the rule, the figures do not speak for it.",
        names=listed(better),
    )


def _unfinished(archive: Archive) -> Parts:
    campaign = archive.find("campaign.json")
    node = campaign.find("unfinished") if campaign else None
    if node is None or not node.content:
        return ()
    return prose("Phases of the campaign that did not end and give no results: {count}.", count=node.count())


def _runs(section: Section, runs: list[tuple[Node, Node]], found: list[Variant]) -> None:
    columns = [Column("run", False), *(Column(title) for title in ("size", "epochs", "kept", "minutes"))]
    columns += [Column("device", False), Column("val mAP50"), Column("val mAP50-95")]
    section.add(
        table(
            columns,
            [_run(*run) for run in runs],
            prose(
                "Single training runs, with the trainer's own figures on validation, of the epoch whose weights were "
                "kept. Where time ended them, not epochs, their order is no verdict on the architectures."
            ),
            _other_data(runs, found),
        )
    )


def _other_data(runs: list[tuple[Node, Node]], found: list[Variant]) -> Parts:
    """That the single runs are no part of the campaign, where their training images are others than its own."""
    theirs = {node.content for record, _ in runs if (node := record.find("data_sha256", "train"))}
    ours = {node.content for one in found if (node := one.node.find("train_data_sha256"))}
    if not theirs or not ours or theirs & ours:
        return ()
    return prose(
        "They learned from another set of training images than the campaign's variants (the hashes differ) and had "
        "other budgets: figures of this table and of the campaign's do not compare."
    )


def _run(record: Node, epochs: Node) -> Row:
    kept = max(range(len(epochs.content)), key=lambda at: float(epochs.content[at][MAP50_95]))
    name = record.record.name.removeprefix("training/").removesuffix(".json")
    return row(
        Label(name, record.at("device").source),
        record.at("settings", "imgsz").value(0),
        epochs.count(),
        epochs.at(kept, "epoch").value(0),
        computed("seconds / 60", lambda seconds: seconds / 60, record.at("seconds").value(), digits=1),
        record.at("device").label(),
        epochs.at(kept, MAP50).value(),
        epochs.at(kept, MAP50_95).value(),
    )
