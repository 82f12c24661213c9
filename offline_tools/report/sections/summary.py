# SPDX-License-Identifier: AGPL-3.0-only
"""The first page: what came out, in a few lines."""

from __future__ import annotations

from offline_tools.report.archive import Archive
from offline_tools.report.document import Section
from offline_tools.report.sections.conclusion import verdict
from offline_tools.report.sections.gate import recorded
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.values import computed, percent
from offline_tools.report.variants import best, halted, names_of, students, variants


def summary(archive: Archive) -> Section:
    """Section "Summary": the verdict, then one line a subject that has a record."""
    section = Section("summary", "Summary")
    verdict(section, archive)
    told = (tell(archive) for tell in (_gate, _variant, _unfinished, _test, _gpu, _cpu, _adaptive, _stereo))
    lines = [line for line in told if line]
    if lines:
        section.points(*lines)
    return section


def _gate(archive: Archive) -> Parts:
    decided = recorded(archive)
    if decided is None:
        return ()
    return prose(
        "**Gate:** {metric} {value}, decision {decision}.",
        metric=decided.at("metric").label(),
        value=decided.at("value").value(4),
        decision=decided.at("decision").label(),
    )


def _variant(archive: Archive) -> Parts:
    found = variants(archive)
    winner = best(found)
    if winner is None:
        return ()
    return prose(
        "**Best of the campaign on validation:** {name} {precision}, mAP50 {map50}{deviation}, after {epochs} epochs; "
        "{count} were measured, float and INT8 counted apart, the teacher aside.",
        name=winner.name,
        precision=winner.node.at("precision").label(),
        map50=winner.map50,
        deviation=(" ± ", winner.deviation) if winner.deviation else (),
        epochs=winner.node.at("epochs").value(0),
        count=computed("entries", lambda *all_: float(len(all_)), *(one.map50 for one in students(found)), digits=0),
    )


def _unfinished(archive: Archive) -> Parts:
    stopped = halted(archive)
    if not stopped:
        return ()
    done = [one.done for one in stopped]
    return prose(
        "**Unfinished, without a result:** the trainings of {names}; they stopped after {least} to {most} of "
        "{planned} epochs.",
        names=listed(names_of(stopped)),
        least=min(done, key=lambda value: value.number),
        most=max(done, key=lambda value: value.number),
        planned=max((one.planned for one in stopped), key=lambda value: value.number),
    )


def _test(archive: Archive) -> Parts:
    accuracy = archive.find("accuracy.json")
    everything = list(accuracy.at("models")) if accuracy else []
    looked = [entry for entry in everything if entry.at("split").content == "test"]
    if not looked:
        return ()
    top = max(looked, key=lambda entry: entry.at("map50").value().number)
    same = [entry for entry in everything if entry.at("model_sha256").content == top.at("model_sha256").content]
    val = next((entry for entry in same if entry.at("split").content == "val"), None)
    return prose(
        "**Best on test:** {file}, mAP50 {map50}{val}, on {images} images.",
        file=top.at("file").label(),
        map50=top.at("map50").value(),
        val=prose(" (on validation {map50})", map50=val.at("map50").value()) if val else (),
        images=top.at("images").value(0),
    )


def _gpu(archive: Archive) -> Parts:
    record = archive.find("h200.json")
    engines = [one for one in record.at("engines") if str(one.at("canvas").content) == "640"] if record else []
    if record is None or not engines:
        return ()
    accuracy = archive.find("accuracy.json")
    shipped = {one.at("name").content for one in accuracy.at("models") if one.at("shipped").content} if accuracy else ()
    engines = [one for one in engines if one.at("model").content in shipped] or engines
    fastest = min(engines, key=lambda one: one.at("detector_ms_p50").value().number)
    return prose(
        "**On a GPU:** two camera images to boxes in {median} (p99 {p99}) on {gpu}, with {model} {precision}.",
        gpu=record.at("machine", "gpu").label(),
        median=fastest.at("detector_ms_p50").value(2, " ms"),
        p99=fastest.at("detector_ms_p99").value(2, " ms"),
        model=fastest.at("model").label(),
        precision=fastest.at("precision").label(),
    )


def _cpu(archive: Archive) -> Parts:
    record = archive.find("cpu_pipeline.json")
    if record is None:
        return ()
    return prose(
        "**On a CPU:** {median} a pair to cones in space, {times} as fast as ultralytics with all cores.",
        median=record.at("pipeline_ms_p50").value(1, " ms"),
        times=record.at("speedup_over_ultralytics_all_cores").value(1, " ×"),
    )


def _adaptive(archive: Archive) -> Parts:
    record = archive.find("adaptive.json")
    if record is None:
        return ()
    return prose(
        "**Adaptive:** “{policy}” at {cost} the cost of fixed 640, mAP50 {map50} on driving sequences; the plan's "
        "cascade at {cascade}.",
        policy=record.at("policy").label(),
        cost=record.at("cost_ratio").value(2, " ×"),
        map50=record.at("map50").value(),
        cascade=record.at("cascade", "cost_ratio").value(2, " ×"),
    )


def _stereo(archive: Archive) -> Parts:
    record = archive.find("stereo.json")
    depths = list(record.at("depth")) if record else []
    if record is None or not depths:
        return ()
    return prose(
        "**Cones in space:** median depth error {error} at {depth} m, {coverage} within the ellipsoid of nineteen in "
        "twenty (rendered truth).",
        error=depths[-1].at("median_error_pct").value(2, " %"),
        depth=depths[-1].named,
        coverage=percent(record.at("coverage_95").value()),
    )
