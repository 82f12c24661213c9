# SPDX-License-Identifier: AGPL-3.0-only
"""The success tiers of the plan, and which of them an engine reaches."""

from __future__ import annotations

from dataclasses import dataclass

from offline_tools.report.archive import Archive
from offline_tools.report.records import Node
from offline_tools.report.values import Value, ratio


@dataclass(frozen=True)
class Tier:
    """What a tier asks for."""

    name: str
    map50: Value
    latency: Value
    speed_up: Value


@dataclass(frozen=True)
class Judgement:
    """What an engine reaches. tier: the best one, or None. short: of the lowest tier, what is not reached."""

    map50: Value
    latency: Value
    speed_up: Value
    tier: Tier | None
    short: tuple[str, ...]


def tiers(archive: Archive) -> list[Tier]:
    """The best first."""
    return [_tier(node) for node in archive.targets.at("tiers")]


def baseline_ms(archive: Archive) -> Value:
    """The latency that speed-ups are given against: that of the plan, quoted."""
    return archive.quoted.at("thesis", "inference_ms").value(2, " ms")


def judge(archive: Archive, map50: Value, latency: Value) -> Judgement:
    """Compares as printed in the plan: accuracy and latency against each tier, the speed-up at one decimal."""
    speed_up = ratio(baseline_ms(archive), latency, 1)
    for tier in tiers(archive):
        short = _short(tier, map50, latency, speed_up)
        if not short:
            return Judgement(map50, latency, speed_up, tier, ())
    return Judgement(map50, latency, speed_up, None, short)


def _short(tier: Tier, map50: Value, latency: Value, speed_up: Value) -> tuple[str, ...]:
    missed = {
        "accuracy": map50.number < tier.map50.number,
        "latency": latency.number > tier.latency.number,
        "speed-up": round(speed_up.number, 1) < tier.speed_up.number,
    }
    return tuple(name for name, is_missed in missed.items() if is_missed)


def _tier(node: Node) -> Tier:
    return Tier(
        node.name, node.at("map50").value(2), node.at("latency_ms").value(1, " ms"), node.at("speed_up").value(1, " ×")
    )
