# SPDX-License-Identifier: AGPL-3.0-only
"""The ablation table, and accuracy against latency."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.charts.scatter import Point, scatter
from offline_tools.report.document import Column, Figure, Row, Section, Table, heading, row, table
from offline_tools.report.engines import Entry
from offline_tools.report.platforms import entries
from offline_tools.report.text import Part, Parts, listed, prose
from offline_tools.report.tiers import baseline_ms
from offline_tools.report.values import Kind, Value, ratio
from offline_tools.report.variants import names_of, variants

_GROUPS = {
    "": ("model", "precision", "pass", "policy"),
    "accuracy": ("mAP50", "mAP50-95", "P", "R", "test"),
    "latency, ms": ("pre", "inf.", "post", "whole"),
    "speed-up against": ("plan", "own"),
}
_NOTE = (
    "Precision (P) and recall (R) at the confidence of the best F1. mAP50 to R on validation, but of an adaptive "
    "policy on driving sequences, which are other images: such rows compare with each other only. test: mAP50 of the "
    "one look at the test split. pre: letterbox; inf.: from the call to rows on the host; post: NMS; † pre and post "
    "together, not separated in the record, and on a CPU with cones in space. Speed-ups: plan, against the quoted "
    "{baseline} for the network on other hardware and other code; own, against the usual way of running such a "
    "network, measured on the same machine. Where a TensorRT plan was not evaluated itself, its accuracy is that of "
    "the ONNX file that it is built from, run by ONNX Runtime."
)


def ablation(archive: Archive) -> Section:
    """Section "Accuracy and latency"."""
    section = Section("ablation", "Accuracy and latency")
    found = entries(archive)
    if found:
        section.add(_table(archive, found))
        _curve(section, archive, found)
    for file in ("accuracy.json", "h200.json", "rtx4060.json", "cpu_pipeline.json"):
        if archive.find(file) is None:
            section.miss(KNOWN[file].what, KNOWN[file].command)
    return section


def _table(archive: Archive, found: list[Entry]) -> Table:
    rows: list[Row] = []
    platform = ""
    for entry in found:
        if entry.platform.text != platform:
            platform = entry.platform.text
            kinds = " and ".join(kind.value for kind in entry.latency.kinds) if entry.latency else "not timed"
            rows.append(heading(entry.platform, f", {kinds}"))
        rows.append(_row(archive, entry))
    return table(
        [Column(title, bool(group), group) for group, titles in _GROUPS.items() for title in titles],
        rows,
        prose("Ablation: model, precision, pass and policy; medians of a pair of 1280x720 images."),
        (*prose(_NOTE, baseline=baseline_ms(archive)), *_campaign(archive)),
    )


def _campaign(archive: Archive) -> Parts:
    """Which rows are the campaign's: small budgets, not to be read beside files that were trained otherwise."""
    found = variants(archive)
    if not found:
        return ()
    return prose(
        " Rows of {names} are the campaign's, at its budget; the others are of files trained apart from it.",
        names=listed(names_of(found)),
    )


def _row(archive: Archive, entry: Entry) -> Row:
    found, stages, latency = entry.accuracy, entry.stages, entry.latency
    together: Parts | None = ("† ", stages.around.shown(signed=False)) if stages.around else None
    return row(
        entry.model,
        entry.precision,
        entry.resolution,
        (*_tuple(entry.policy), " (another val)") if found and found.data == "another val" else entry.policy,
        *((found.map50, found.map50_95, found.precision, found.recall) if found else (None,) * 4),
        entry.test,
        stages.before or together,
        stages.inference,
        stages.behind or together,
        stages.whole,
        _speed_up(archive, latency) if latency else None,
        entry.own.shown(1, "") if entry.own else None,
    )


def _tuple(policy: Part | Parts) -> Parts:
    return policy if isinstance(policy, tuple) else (policy,)


def _speed_up(archive: Archive, latency: Value) -> Value:
    found = ratio(baseline_ms(archive), latency, 1, "")
    return found if found.number >= 1 else found.shown(2)


def _curve(section: Section, archive: Archive, found: list[Entry]) -> None:
    sizes = {entry.resolution.text for entry in found if entry.latency is not None and _on_val(entry)}
    points = [
        Point(
            entry.latency,
            entry.accuracy.map50,
            entry.platform.text,
            " ".join([entry.model.text, entry.precision.text] + [entry.resolution.text] * (len(sizes) > 1)),
        )
        for entry in found
        if entry.accuracy is not None and _on_val(entry) and entry.latency is not None
    ]
    if len(points) < 2:
        return
    tiers = archive.targets.at("tiers")
    levels = tuple((f"{name}:", tiers.at(name, "map50").value(2)) for name in ("excellent", "minimum"))
    used: list[Value] = [value for point in points for value in (point.x, point.y)]
    simulated = any(Kind.SIMULATED in value.kinds for value in used)
    section.add(
        Figure(
            lambda colours: scatter(
                points, "latency of a stereo pair, ms (logarithmic)", "mAP50 on validation", colours, True, levels
            ),
            tuple(used + [value for _, value in levels]),
            prose(
                "Accuracy against latency of each engine that has both; the lines are the accuracies that tiers ask "
                "for." + (" Hollow diamonds are simulated." if simulated else "")
            ),
            "scatter: validation mAP50 against latency, by platform",
        )
    )


def _on_val(entry: Entry) -> bool:
    return entry.accuracy is not None and entry.accuracy.data == "val"
