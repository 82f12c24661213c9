# SPDX-License-Identifier: AGPL-3.0-only
"""What has to be solved, and what there was before: quoted baselines, and those that we measured ourselves."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Section, row, table
from offline_tools.report.text import prose
from offline_tools.report.tiers import baseline_ms
from offline_tools.report.values import Value, computed, difference, percent, ratio, total


def problem(archive: Archive) -> Section:
    """Section "Problem and baseline"."""
    section = Section("problem", "Problem and baseline")
    hz = archive.targets.at("camera_hz").value(0, " Hz")
    period = computed("1000 / camera_hz", lambda rate: 1000 / rate, hz, digits=1, unit=" ms")
    section.say(
        "A Formula Student driverless car steers by cones: blue ones mark the left border of its track, yellow ones "
        "the right, orange ones the lanes of entry and exit, large orange ones start and finish. A stereo camera "
        "gives two 1280x720 images at {hz}, so one frame may take {period} before the next one waits. What perception "
        "takes of that, planning and control do not have.",
        hz=hz,
        period=period,
    )
    _frame(section, archive, period)
    _plan(section, archive)
    _own(section, archive)
    return section


def _frame(section: Section, archive: Archive, period: Value) -> None:
    frame, image = archive.quoted.at("stereo_frame"), archive.quoted.at("rtx4060_image", "yolo26n")
    models = [frame.at(name) for name in ("yolo11n", "yolo26n")]
    stages = [name for name in models[0].content if name != "total"]
    rows = [row(stage.replace("_", " "), *(one.at(stage).value(2) for one in models)) for stage in stages]
    sums = [total([one.at(stage).value(2) for stage in stages]) for one in models]
    totals = [one.at("total").value(2) for one in models]
    rows.append(row("sum of the stages listed", *sums))
    rows.append(row("total as published", *totals, strong=True))
    section.add(
        table(
            [Column("stage", numeric=False), Column("YOLO11n, ms"), Column("YOLO26n, ms")],
            rows,
            prose(
                "A stereo frame of the car's earlier node ({where}), as published [@cridlig2026].",
                where=frame.at("where").label(),
            ),
        )
    )
    new = models[1]
    section.say(
        "The node that the car ran before takes {frame} for a stereo frame with YOLO26n on the car's RTX 4060 "
        "[@cridlig2026]: {share} of the frame's time. The network takes {network} of it, matching boxes and features "
        "{matching}. The published stages do not add up to the published total: {rest} are attributed to none of "
        "them. Outside the node one image takes {image}, of which {compute} is the network and {upload} the upload of "
        "a square of float32: what costs most is moving bytes and waiting, not arithmetic.",
        frame=totals[1].shown(unit=" ms"),
        share=percent(ratio(totals[1], period, unit=""), 0),
        network=new.at("inference").value(2, " ms"),
        matching=total([new.at(name).value(2, " ms") for name in ("box_matching", "feature_matching")]),
        rest=difference(totals[1], sums[1], 2, " ms").shown(signed=False),
        image=image.at("total").value(2, " ms"),
        compute=image.at("compute").value(2, " ms"),
        upload=image.at("upload").value(2, " ms"),
    )


def _plan(section: Section, archive: Archive) -> None:
    thesis, fsoco = archive.quoted.at("thesis"), archive.quoted.at("fsoco12")
    section.say(
        "The plan that this project follows measures success against an earlier state of the same car [@fusa2025]: "
        "YOLO11n on an RTX 3080 Mobile with TensorRT, {latency} for the network, mAP50 {map50}. Speed-ups in this "
        "report are given against that figure, as the plan asks, and against baselines that we measured on the same "
        "machine as our own engines; only the latter compare like with like. The accuracy is a claim that could not "
        "be repeated: the same team's later evaluation of the production weights on the test split of FSOCO-12 found "
        "{production}, of a retrained YOLO11n {retrained} and of YOLO26n {new} [@cridlig2026]. On frames of the car's "
        "own camera YOLO26n lost {gap} of that. Our figures are of other images, so their distance to these is an "
        "orientation, not a result.",
        latency=baseline_ms(archive),
        map50=thesis.at("map50").value(),
        production=fsoco.at("production_map50").value(),
        retrained=fsoco.at("yolo11n_map50").value(),
        new=fsoco.at("yolo26n_map50").value(),
        gap=percent(fsoco.at("gap_to_own_camera").value(), 0),
    )


def _own(section: Section, archive: Archive) -> None:
    cpu, gpu = archive.find("cpu_pipeline.json"), archive.find("h200.json")
    if cpu:
        section.say(
            "**Measured baseline on a CPU.** On {cpu} ultralytics' own predict takes {one} a pair as it comes, {all} "
            "with all cores, and {int8} with its own OpenVINO INT8 export.",
            cpu=cpu.at("machine", "cpu").label(),
            one=cpu.at("ultralytics_ms_p50").value(1, " ms"),
            all=cpu.at("ultralytics_all_cores_ms_p50").value(1, " ms"),
            int8=cpu.at("ultralytics_openvino_int8_ms_p50").value(1, " ms"),
        )
    else:
        section.miss("the measured baseline on a CPU", KNOWN["cpu_pipeline.json"].command)
    engines = gpu.at("engines") if gpu else ()
    naive = [node.value(2, " ms") for engine in engines if (node := engine.find("naive_ms_p50"))]
    if gpu and naive:
        section.say(
            "**Measured baseline on a GPU.** On {gpu} two camera images as float32 squares from ordinary memory, the "
            "way in which such networks are usually run, take {naive} to rows on the host.",
            gpu=gpu.at("machine", "gpu").label(),
            naive=max(naive, key=lambda value: value.number),
        )
    else:
        section.miss("the measured baseline on a GPU", KNOWN["h200.json"].command + " --naive MODEL=ONNX")
