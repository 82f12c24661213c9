# SPDX-License-Identifier: AGPL-3.0-only
"""What may have made a technique help or not: what it cost, what it began from, what was there to gain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from offline_tools.report.archive import Archive
from offline_tools.report.records import Node
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.values import Value, computed, points, ratio
from offline_tools.report.variants import Comparison, Variant


def distilled(pair: Comparison, found: Sequence[Variant]) -> Parts:
    """How much of the teacher's lead came over."""
    teacher = max((one for one in found if one.technique == "teacher"), key=lambda one: one.map50.number, default=None)
    if teacher is None:
        return ()
    lead = points(teacher.map50, pair.other)
    if lead.number <= 0:
        return prose(
            " {teacher} is no better than the student on its own ({lead}): it had nothing to teach.",
            teacher=_called(teacher),
            lead=lead,
        )
    if pair.gain.number > 0:
        share = computed(
            "100 gain / lead", lambda gain, whole: 100 * gain / whole, pair.gain, lead, digits=0, unit=" %"
        )
        return prose(
            " {teacher} leads the student's direct training by {lead}; of that lead the student took over {share}.",
            teacher=_called(teacher),
            lead=lead.shown(signed=False),
            share=share,
        )
    return prose(
        " {teacher} leads the student's direct training by {lead}, and none of it came over. Possible reasons, "
        "untested: the student has no room for more, or the distillation's weights crowd the task loss.",
        teacher=_called(teacher),
        lead=lead.shown(signed=False),
    )


def _called(teacher: Variant) -> Parts:
    if teacher.name.text == "teacher":
        return prose("The {teacher}", teacher=teacher.name)
    return prose("The teacher, {teacher},", teacher=teacher.name)


def regnet(pair: Comparison, found: Sequence[Variant]) -> Parts:
    """What another backbone costs."""
    said, operations = _cost(pair), _ratio(pair, "gflops")
    if operations is None or operations.number <= 1:
        return said
    if pair.gain.number > 0:
        return (
            *said,
            " What it wins it pays for in operations: a wider YOLO of the same cost would be the fair rival.",
        )
    return (
        *said,
        " It takes more operations and is no better. A possible reason, untested: grouped bottlenecks were designed "
        "to classify, and YOLO's own blocks together with its neck.",
    )


def pruned(archive: Archive, pair: Comparison, found: Sequence[Variant]) -> Parts:
    """What was cut, what it could do before, and whether the time went with the operations."""
    said = (*_before(archive, pair), *_cost(pair))
    operations, time = _ratio(pair, "gflops"), _ratio(pair, "latency_ms")
    if operations is None or time is None:
        return said
    if time.number >= 1:
        return (*said, " Fewer operations, and no time saved: uneven, narrower layers fill the hardware's units worse.")
    if time.number > operations.number + 0.1:
        return (*said, " Time falls less than operations do: memory, starts of layers and unaligned channels stay.")
    return (*said, " Time falls with the operations.")


def _before(archive: Archive, pair: Comparison) -> Parts:
    """That a network was pruned from outside of the campaign, and what it could do before, if a shipped file tells."""
    if not pair.variant.parent or pair.variant.parent.startswith("@"):
        return ()
    exported = _exported(archive, pair.variant)
    if exported is None:
        return prose(" It did not begin untrained, but was cut out of a network trained apart from the campaign.")
    before = exported.at("map50").value(3)
    return prose(
        " It did not begin untrained, but was cut out of the network of {parent}, trained apart from the campaign, "
        "which reaches {before}: {change} after fine-tuning on the campaign's images.",
        parent=exported.at("file").label(),
        before=before,
        change=points(pair.variant.map50, before),
    )


def _exported(archive: Archive, variant: Variant) -> Node | None:
    """The evaluation of the float ONNX of a variant's parent, on the same images and in the same way."""
    accuracy, data = archive.find("accuracy.json"), variant.node.find("data_sha256")
    if accuracy is None or data is None or variant.measured_by != "detector":
        return None
    file = PurePosixPath(variant.parent).with_suffix(".onnx").name
    wanted = (file, "val", data.content)
    return next(
        (
            entry
            for entry in accuracy.at("models")
            if tuple(entry.at(key).content for key in ("file", "split", "data_sha256")) == wanted
        ),
        None,
    )


def _cost(pair: Comparison) -> Parts:
    names = {"params": "parameters", "gflops": "operations", "latency_ms": "time a pair"}
    found = [(value, f" the {name}") for key, name in names.items() if (value := _ratio(pair, key)) is not None]
    return prose(" It takes {what}.", what=listed(found)) if found else ()


def _ratio(pair: Comparison, key: str) -> Value | None:
    mine, other = pair.variant.figure(key, 2), pair.baseline.figure(key, 2)
    return None if mine is None or other is None or other.number == 0 else ratio(mine, other)
