# SPDX-License-Identifier: AGPL-3.0-only
"""Rows of the ablation table, platform by platform: latency of each joined with the accuracy of what ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from offline_tools.report.archive import Archive
from offline_tools.report.engines import (
    Accuracy,
    Entry,
    Stages,
    accuracy_of,
    find_accuracy,
    plan_accuracy,
    policy_accuracy,
    test_of,
)
from offline_tools.report.records import Node
from offline_tools.report.values import Label, Value, difference, ratio
from offline_tools.report.variants import Variant, variants

CAR = "RTX 4060"


def entries(archive: Archive) -> list[Entry]:
    """All rows: the GPU machine's, the car's, the CPU's, the campaign's, and of files that were not timed."""
    timed = [*gpu_entries(archive), *car_entries(archive), *cpu_entries(archive), *campaign_entries(archive)]
    return [*timed, *untimed_entries(archive, timed)]


def gpu_entries(archive: Archive) -> Iterator[Entry]:
    """Engines measured on the GPU machine."""
    record = archive.find("h200.json")
    for engine in record.at("engines") if record else ():
        model, precision, canvas = (engine.at(key).label() for key in ("model", "precision", "canvas"))
        naive, whole = engine.find("naive_ms_p50"), engine.at("detector_ms_p50").value(3)
        val, test = plan_accuracy(archive, model.text, precision.text, canvas.text)
        yield Entry(
            engine.record.root.at("machine", "gpu").label(),
            model,
            precision,
            canvas,
            "fixed",
            val,
            test,
            _gpu_stages(engine, whole),
            ratio(naive.value(), whole) if naive else None,
        )


def car_entries(archive: Archive) -> Iterator[Entry]:
    """What the projection says of the car's GPU; what happens on the host is the measuring machine's."""
    record = archive.find("rtx4060.json")
    for engine in record.at("engines") if record else ():
        model, precision, canvas = (engine.at(key).label() for key in ("model", "precision", "canvas"))
        val, test = plan_accuracy(archive, model.text, precision.text, canvas.text)
        yield Entry(
            Label(CAR, engine.source),
            model,
            precision,
            canvas,
            "fixed",
            val,
            test,
            Stages(
                engine.at("gpu_ms").value(2), around=engine.at("host_ms").value(2), whole=engine.at("frame_ms").value(2)
            ),
        )


def cpu_entries(archive: Archive) -> Iterator[Entry]:
    """The pipeline on a CPU: one look at 640, and the default policy."""
    record = archive.find("cpu_pipeline.json")
    if record is None:
        return
    platform, engine = record.at("machine", "cpu").label(), record.at("engine").label()
    naive, bare = record.at("ultralytics_ms_p50").value(1), record.at("bare_inference_ms_p50").value(1)
    whole = record.at("pipeline_ms_p50").value(1)
    # "yolo11n int8, openvino on CPU ..."
    model, precision = (Label(word.strip(","), engine.source) for word in engine.text.split()[:2])
    val, test = (
        find_accuracy(archive, precision.text, "640", split, name=model.text, runtime="openvino")
        for split in ("val", "test")
    )
    yield Entry(
        platform,
        model,
        precision,
        Label("640", engine.source),
        "fixed",
        accuracy_of(val),
        test_of(test),
        Stages(bare, around=difference(whole, bare, 1, ""), whole=whole),
        ratio(naive, whole),
    )
    adaptive, policies = record.find("adaptive_pipeline_ms_p50"), archive.find("adaptive.json")
    if adaptive is not None and policies is not None:
        yield Entry(
            platform,
            model,
            precision,
            Label("mixed", policies.at("policy").source),
            policies.at("policy").label(),
            policy_accuracy(policies),
            None,
            Stages(None, whole=adaptive.value(1)),
            ratio(naive, adaptive.value(1)),
        )


def campaign_entries(archive: Archive) -> Iterator[Entry]:
    """The campaign's variants that were timed, stage by stage."""
    chosen, final = _chosen(archive)
    for variant in variants(archive):
        whole, latency = variant.figure("latency_ms", 2), variant.node.find("latency")
        if whole is None:
            continue
        machine = latency.find("machine") if latency else None
        stages = [
            node.value(2) if latency and (node := latency.find(f"{stage}_ms_p50")) else None
            for stage in ("letterbox", "inference", "nms")
        ]
        resolution = variant.node.find("resolution")
        yield Entry(
            machine.label() if machine else Label("machine not noted", variant.node.source),
            variant.name,
            variant.node.at("precision").label(),
            resolution.label() if resolution else Label("–", variant.node.source),
            "fixed",
            _campaign_accuracy(archive, variant),
            final if chosen == (variant.name.text, variant.precision) else None,
            Stages(stages[1], stages[0], stages[2], None, whole),
        )


def untimed_entries(archive: Archive, timed: Sequence[Entry]) -> Iterator[Entry]:
    """Files whose accuracy on validation is known, and no latency of them."""
    record = archive.find("accuracy.json")
    shown = {source for entry in timed if entry.accuracy for source in entry.accuracy.map50.sources}
    for node in record.at("models") if record else ():
        accuracy = accuracy_of(node)
        if node.at("split").content != "val" or accuracy is None or set(accuracy.map50.sources) <= shown:
            continue
        wanted = {key: str(node.at(key).content) for key in ("name", "file", "runtime")}
        precision, resolution = node.at("precision").label(), node.at("resolution").label()
        yield Entry(
            Label("Files without a latency", node.source),
            node.at("name").label(),
            precision,
            resolution,
            ("as ", node.at("runtime").label()),
            accuracy,
            test_of(find_accuracy(archive, precision.text, resolution.text, "test", **wanted)),
            Stages(None),
        )


def _gpu_stages(engine: Node, whole: Value) -> Stages:
    rows, before, behind = engine.at("host_rows_ms_p50"), engine.find("letterbox_ms_p50"), engine.find("nms_ms_p50")
    if before and behind:
        return Stages(rows.value(3), before.value(3), behind.value(3), None, whole)
    return Stages(rows.value(3), around=difference(whole, rows.value(3), 3), whole=whole)


def _campaign_accuracy(archive: Archive, variant: Variant) -> Accuracy:
    """Of "val" where the campaign and accuracy.json validate on the same images, else of "another val"."""
    own, record = variant.node.find("data_sha256"), archive.find("accuracy.json")
    known = (
        {one.at("data_sha256").content for one in record.at("models") if one.at("split").content == "val"}
        if record
        else set()
    )
    return Accuracy(
        "val" if own is None or not known or own.content in known else "another val",
        variant.map50,
        variant.figure("map50_95_val", 3),
        variant.figure("precision_at_best_f1_val", 3),
        variant.figure("recall_val", 3),
        variant.figure("images", 0),
    )


def _chosen(archive: Archive) -> tuple[tuple[str, str] | None, Value | None]:
    """Name and precision of the campaign's chosen engine, and its mAP50 on test."""
    campaign = archive.find("campaign.json")
    chosen, final = (campaign.find(key) for key in ("chosen", "final_test")) if campaign else (None, None)
    if chosen is None:
        return None, None
    name = str(chosen.at("variant").content), str(chosen.at("precision").content)
    return name, final.at("map50").value() if final else None
