# SPDX-License-Identifier: AGPL-3.0-only
"""Where the time goes: the GPU machine, the projection to the car's GPU, the CPU, the node."""

from __future__ import annotations

from itertools import pairwise

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.charts.bars import Stack, stacks
from offline_tools.report.document import Column, Figure, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.values import Kind, Value, difference, percent, ratio

_PARTS = ("network on the GPU", "upload and download", "start and wait", "letterbox and NMS", "stereo")
_ENDS = ("gpu_compute_ms_p50", "gpu_graph_ms_p50", "host_rows_ms_p50", "detector_ms_p50", "cones_ms_p50")
_TIMES = {
    "GPU": "gpu_graph_ms_p50",
    "no graph": "enqueue_ms_p50",
    "rows": "host_rows_ms_p50",
    "2D": "detector_ms_p50",
    "2D, p99": "detector_ms_p99",
    "3D": "cones_ms_p50",
    "2D paced, p99": "paced_detector_ms_p99",
}


def latency(archive: Archive) -> Section:
    """Section "Where the time goes"; what the ablation already calls missing is not called so again."""
    section = Section("latency", "Where the time goes")
    for file, tell in (
        ("h200.json", _gpu),
        ("rtx4060.json", _car),
        ("cpu_pipeline.json", _cpu),
        ("node_60hz.json", _node),
        ("node_h200.json", _node_on_gpu),
    ):
        record = archive.find(file)
        if record is not None:
            tell(section, record)
        elif file.startswith("node_"):
            section.miss(KNOWN[file].what, KNOWN[file].command)
    return section


def _gpu(section: Section, record: Node) -> None:
    engines = list(record.at("engines"))
    gpu = record.at("machine", "gpu").label()
    bars = [
        Stack(
            " ".join(str(one.at(key).content) for key in ("model", "canvas", "precision")),
            _stages(one),
            one.at("cones_ms_p50").value(2, " ms").text,
        )
        for one in engines
    ]
    used = [stage for bar in bars for stage in bar.stages if stage] + [
        one.at("cones_ms_p50").value(2) for one in engines
    ]
    section.add(
        Figure(
            lambda colours: stacks(bars, _PARTS, "milliseconds a stereo pair, medians", colours),
            tuple(used),
            prose("From two camera images to cones in space on {gpu}, stage by stage.", gpu=gpu),
            "stacked bars: stages of each engine's latency",
        )
    )
    columns = [
        Column("model", False),
        Column("precision", False),
        Column("pass", False),
        *(Column(name) for name in _TIMES),
    ]
    section.add(
        table(
            [*columns, Column("usual way"), Column("allocations"), Column("rows as FP32")],
            [_times(one) for one in engines],
            prose(
                "Milliseconds a stereo pair on {gpu}. GPU: upload, network and download by its own clock; no graph: "
                "enqueued kernel by kernel; rows: call to rows on the host; 2D, 3D: camera images to boxes and to "
                "cones; paced: at camera rate; usual way: float32 squares from ordinary memory; allocations: CUDA "
                "allocations a frame; rows as FP32: share of the float network's rows that come out within two pixels "
                "and a fiftieth in score.",
                gpu=gpu,
            ),
        )
    )


def _stages(one: Node) -> tuple[Value | None, ...]:
    """From ends to stages. One that ends before the one before it (both are medians) is left out."""
    ends = [one.at(key).value(3) for key in _ENDS]
    steps = [ends[0], *(difference(end, start, 3).shown(signed=False) for start, end in pairwise(ends))]
    return tuple(step if step.number > 0 else None for step in steps)


def _times(one: Node) -> Row:
    naive = one.find("naive_ms_p50")
    return row(
        *(one.at(key).label() for key in ("model", "precision", "canvas")),
        *(one.at(key).value(3) for key in _TIMES.values()),
        naive.value(2) if naive else None,
        one.at("allocations_per_frame").value(2),
        percent(agreement.value()) if (agreement := one.find("rows", "within_limits")) else None,
    )


def _car(section: Section, record: Node) -> None:
    section.say(
        "**The car's GPU, simulated.** No RTX 4060 was at hand. A roofline by kernel, calibrated on {gpu}, projects "
        "its latency, with an error of {error}.{worse} Times on the host are those of the measuring machine, not of "
        "the car. Every figure of the projection is marked as simulated.",
        gpu=record.at("measured_on").label(),
        error=record.at("error_pct").value(0, " %"),
        worse=_worse(record),
    )
    columns = [Column("model", False), Column("precision", False), Column("pass", False)]
    section.add(
        table(
            [*columns, *(Column(title) for title in ("network", "upload", "GPU", "host", "2D", "3D"))],
            [_projected(one) for one in record.at("engines")],
            prose("Projected milliseconds a stereo pair on an RTX 4060; names as in the table before."),
        )
    )
    section.add(
        table(
            [Column("known of an RTX 4060", False), Column("known, ms"), Column("projected, ms"), Column("error, %")],
            [_point(point) for point in record.at("known_points")],
            prose("The projection at points that others measured [@cridlig2026]."),
        )
    )


def _worse(record: Node) -> Parts:
    """The known points at which the projection is further off than it says."""
    limit = record.at("error_pct").value().number
    found = [one for one in record.at("known_points") if abs(one.at("error_pct").value().number) > limit + 0.5]
    if not found:
        return ()
    points = [
        prose("{name} by {by}", name=one.at("name").label(), by=one.at("error_pct").value(0, " %").shown(signed=True))
        for one in found
    ]
    return prose(
        " That is of network and upload together; a known point is missed by more: {points}.", points=listed(points)
    )


def _projected(one: Node) -> Row:
    times = ("compute_ms", "upload_ms", "gpu_ms", "host_ms", "frame_ms", "cones_ms")
    names = (one.at(key).label() for key in ("model", "precision", "canvas"))
    return row(*names, *(one.at(key).value(2) for key in times))


def _point(point: Node) -> Row:
    return row(
        point.at("name").label(),
        point.at("known_ms").value(2, kind=Kind.QUOTED),
        point.at("projected_ms").value(2),
        point.at("error_pct").value(0).shown(signed=True),
    )


def _cpu(section: Section, record: Node) -> None:
    section.say(
        "**A CPU alone.** On {cpu} with {cores} cores the whole pipeline, cones in space included, takes {median} "
        "(p99 {p99}): {over} the bare inference of the same engine. It is {plain} as fast as ultralytics' predict as "
        "it comes, {all} with all cores given to that, and {int8} as fast as ultralytics' own OpenVINO INT8 export; "
        "the default policy {adaptive}.",
        cpu=record.at("machine", "cpu").label(),
        cores=record.at("machine", "cpu_count").value(0),
        median=record.at("pipeline_ms_p50").value(1, " ms"),
        p99=record.at("pipeline_ms_p99").value(1, " ms"),
        over=record.at("pipeline_over_bare_inference").value(2, " ×"),
        plain=record.at("speedup_over_ultralytics").value(1, " ×"),
        all=record.at("speedup_over_ultralytics_all_cores").value(1, " ×"),
        int8=record.at("speedup_over_ultralytics_openvino_int8").value(2, " ×"),
        adaptive=record.at("adaptive_speedup_over_ultralytics_openvino_int8").value(2, " ×"),
    )


def _node(section: Section, record: Node) -> None:
    sent, lost = record.at("pairs_sent").value(0), record.at("pairs_lost").value(0)
    section.say(
        "**The node at camera rate.** Over {seconds} at {rate}, with a stand-in engine of a GPU's latency ({engine}), "
        "{sent} pairs were sent and {lost} of them lost ({share}). From the second image's arrival to the published "
        "result: median {median}, p99 {p99}; that is letterbox, scheduling, stereo and publishing, not a network. Age "
        "p99 was {first} in the first minute and {last} in the last.",
        seconds=record.at("seconds").value(0, " s"),
        rate=record.at("settings", "rate_hz").value(0, " Hz"),
        engine=record.at("settings", "engine_latency_ms").value(0, " ms"),
        sent=sent,
        lost=lost,
        share=percent(ratio(lost, sent, unit=""), 2),
        median=record.at("total_ms_p50").value(1, " ms"),
        p99=record.at("total_ms_p99").value(1, " ms"),
        first=record.at("age_p99_ms_first_minute").value(1, " ms"),
        last=record.at("age_p99_ms_last_minute").value(1, " ms"),
    )


def _node_on_gpu(section: Section, record: Node) -> None:
    stages = record.at("latency_ms")
    section.say(
        "**The node with its network.** {engine}, at {rate} through Fast DDS: {sent} pairs were sent and {processed} "
        "processed. From the second image's arrival to the published result: median {median}, p99 {p99}. Medians of "
        "its parts: inference {inference}, letterbox {letterbox}, stereo {stereo}, publishing {publish}.",
        engine=record.at("engine").label(),
        rate=record.at("rate_hz").value(0, " Hz"),
        sent=record.at("pairs", "sent").value(0),
        processed=record.at("pairs", "processed").value(0),
        median=stages.at("total", "p50").value(1, " ms"),
        p99=stages.at("total", "p99").value(1, " ms"),
        **{name: stages.at(name, "p50").value(2, " ms") for name in ("inference", "letterbox", "stereo", "publish")},
    )
