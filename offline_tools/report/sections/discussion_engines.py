# SPDX-License-Identifier: AGPL-3.0-only
"""Why INT8, adaptive inference and the GPU path helped or not. Which sentence is written depends on the figures."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Section
from offline_tools.report.records import Node
from offline_tools.report.sections.quantized import int8_pairs
from offline_tools.report.text import Parts, prose
from offline_tools.report.values import percent, points, ratio
from offline_tools.report.variants import variants

_CLOSE_LOOKS = ("band", "zoom")


def engines(section: Section, archive: Archive) -> None:
    """Adds what is to be said of the engines to the discussion."""
    _int8(section, archive)
    adaptive, gpu = archive.find("adaptive.json"), archive.find("h200.json")
    if adaptive is None:
        section.miss("whether adaptive inference pays", KNOWN["adaptive.json"].command)
    else:
        for machine in adaptive.at("machines"):
            _policy(section, machine)
    if gpu is None:
        section.miss("what the CUDA graph, the byte input and INT8 save on a GPU", KNOWN["h200.json"].command)
    else:
        section.say("**TensorRT.** What the graph, eight bits and the path around the network save, plan by plan:")
        section.points(*(_plan(gpu, one) for one in gpu.at("engines")))


def _int8(section: Section, archive: Archive) -> None:
    pairs = [pair for pair in int8_pairs(archive) if pair[0].at("split").content == "val"]
    changes = [(points(one.at("map50").value(), other.at("map50").value()), one) for one, other in pairs]
    if not changes:
        section.miss("what INT8 costs on validation", KNOWN["accuracy.json"].command)
        return
    limit = archive.targets.at("int8_loss_points").value(1, " points")
    worst, where = min(changes, key=lambda change: change[0].number)
    best, _ = max(changes, key=lambda change: change[0].number)
    if -worst.number <= limit.number:
        verdict = (
            "That keeps the plan's limit of {limit} everywhere: training with quantization in the loop would have "
            "nothing to win back."
        )
    else:
        verdict = (
            "The worst, {file}, breaks the plan's limit of {limit}: this file wants more layers in float, or "
            "quantization in the loop of training."
        )
    file = {"file": where.at("file").label()} if "{file}" in verdict else {}
    section.say(
        "**Eight bits.** Over all published files INT8 changes mAP50 on validation by {worst} to {best}. "
        + verdict
        + (" Where INT8 gains, read it as the noise of the split: rounding teaches nothing." if best.number > 0 else "")
        + "{campaign}",
        worst=worst,
        best=best,
        limit=limit,
        campaign=_int8_of_the_campaign(archive),
        **file,
    )


def _int8_of_the_campaign(archive: Archive) -> Parts:
    changes = [
        points(one.map50, before.value())
        for one in variants(archive)
        if (before := one.node.find("map50_val_float")) is not None
    ]
    if not changes:
        return ()
    return prose(
        " Of the campaign's variants it changes by {worst} to {best}.",
        worst=min(changes, key=lambda change: change.number),
        best=max(changes, key=lambda change: change.number),
    )


def _policy(section: Section, machine: Node) -> None:
    chosen, cascade = machine.at("chosen"), machine.at("cascade")
    section.say(
        "**Adaptive inference.** On {machine} the chosen policy (“{policy}”) costs {cost} fixed 640, with {gain} of "
        "mAP50 and {far} of far recall. {verdict} The plan's cascade (320, then 640 below a mean confidence) "
        "escalates on {rate} of the frames; it pays below {even}. {plan}",
        machine=machine.at("machine").label(),
        policy=chosen.at("name").label(),
        cost=chosen.at("cost_ratio").value(2, " ×"),
        gain=chosen.at("map50_loss_pt").value(1, " points").negated(),
        far=chosen.at("far_recall_loss_pt").value(1, " points").negated(),
        verdict=_chosen(chosen),
        rate=percent(cascade.at("escalation_rate").value(), 0),
        even=percent(machine.at("break_even_escalation_rate").value(), 0),
        plan=_cascade(cascade),
    )


def _chosen(chosen: Node) -> str:
    cost, loss = chosen.at("cost_ratio").value().number, chosen.at("map50_loss_pt").value().number
    if cost >= 1:
        return "It costs as much as always looking at 640: on this machine a second pass is not worth starting."
    if loss > 0:
        return "It is cheaper and finds less: a trade, not a gain."
    if str(chosen.at("name").content).startswith(_CLOSE_LOOKS):
        return "It is cheaper and no worse, since its second look is magnified and goes only where far cones can be."
    return "It is cheaper and no worse."


def _cascade(cascade: Node) -> Parts:
    cost = cascade.at("cost_ratio").value(2, " ×")
    change = cascade.at("map50_loss_pt").value(1, " points").negated()
    if cost.number < 1:
        return prose("It costs {cost} fixed 640 and changes mAP50 by {change}.", cost=cost, change=change)
    always = cascade.at("escalation_rate").value().number > 0.9
    why = ": nearly every frame holds far cones, and they score low at any resolution" if always else ""
    return prose("So it costs {cost} fixed 640 and changes mAP50 by {change}" + why + ".", cost=cost, change=change)


def _plan(record: Node, one: Node) -> Parts:
    keys = {key: one.at(key).label() for key in ("model", "precision", "canvas")}
    float_ = next(
        (
            other
            for other in record.at("engines")
            if all(one.at(key).content == other.at(key).content for key in ("model", "canvas"))
            and (one.at("precision").content, other.at("precision").content) == ("int8", "fp16")
        ),
        None,
    )
    return prose(
        "{model} {precision} at {canvas}: with one captured graph rows are on the host {graph} as fast "
        "as when each kernel is enqueued{int8}{naive}.",
        **keys,
        graph=ratio(one.at("enqueue_ms_p50").value(), one.at("host_rows_ms_p50").value()),
        int8=_against_float(one, float_),
        naive=_against_usual(one),
    )


def _against_float(one: Node, float_: Node | None) -> Parts:
    if float_ is None:
        return ()
    saved = ratio(float_.at("gpu_compute_ms_p50").value(), one.at("gpu_compute_ms_p50").value())
    limit = "" if saved.number > 1.05 else ", no gain: at this size starts and memory limit it, not arithmetic"
    return prose("; INT8 makes the network {saved} as fast as FP16" + limit, saved=saved)


def _against_usual(one: Node) -> Parts:
    naive = one.find("naive_ms_p50")
    if naive is None:
        return ()
    whole = ratio(naive.value(), one.at("detector_ms_p50").value())
    return prose("; from camera images to boxes it is {whole} as fast as the usual way", whole=whole)
