# SPDX-License-Identifier: AGPL-3.0-only
"""Cones in space: depth error, coverage of the covariance, cost."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import prose
from offline_tools.report.values import percent


def stereo(archive: Archive) -> Section:
    """Section "Cones in space"."""
    section = Section("stereo", "Cones in space")
    record = archive.find("stereo.json")
    if record is None:
        section.miss(KNOWN["stereo.json"].what, KNOWN["stereo.json"].command)
        return section
    refined, centres = "refined", "box centres alone"
    section.add(
        table(
            [
                Column("true depth", False),
                Column("cones"),
                Column("median, %", group=refined),
                Column("p95, %", group=refined),
                Column("std, m", group=refined),
                Column("median, %", group=centres),
                Column("std, m", group=centres),
            ],
            [_row(depth, record.at("depth_of_box_centres", depth.name)) for depth in record.at("depth")],
            prose(
                "Depth error on rendered scenes with exact truth ({scenes}), with the boxes of {boxes}.",
                scenes=record.at("scenes").label(),
                boxes=record.at("boxes").label(),
            ),
        )
    )
    quoted = archive.quoted.at("thesis", "depth_deviation_15m")
    section.say(
        "{coverage} of the true places lie in the ellipsoid that should hold nineteen of twenty. The earlier "
        "pipeline's standard deviation at the largest of these depths was {orb} with ORB features and {centres} with "
        "box centres [@fusa2025], on real frames; ours are rendered, without calibration errors, so the two are not "
        "comparable. Locating takes {ten} for ten cones and {hundred} for a hundred ({timing}).",
        coverage=percent(record.at("coverage_95").value()),
        orb=quoted.at("orb_features").value(2, " m"),
        centres=quoted.at("box_centres").value(2, " m"),
        ten=record.at("ms_10_cones").value(1, " ms"),
        hundred=record.at("ms_100_cones").value(1, " ms"),
        timing=record.at("timing").label(),
    )
    return section


def _row(refined: Node, centres: Node) -> Row:
    return row(
        (refined.named, " m"),
        refined.at("cones").value(0),
        refined.at("median_error_pct").value(2),
        refined.at("p95_error_pct").value(1),
        refined.at("standard_deviation_m").value(2),
        centres.at("median_error_pct").value(1),
        centres.at("standard_deviation_m").value(2),
    )
