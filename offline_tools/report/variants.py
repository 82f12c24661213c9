# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign's trained variants: each with its uncertainty, and what it must be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offline_tools.report.archive import Archive
from offline_tools.report.records import Node
from offline_tools.report.values import Label, Value, computed, difference, points

_REQUIRED = ("name", "technique", "epochs", "seeds", "map50_val", "map50_val_std", "params", "gflops", "precision",
             "latency_ms")  # fmt: skip
# Words by which campaigns call a technique, and the one that stands for it here.
_KINDS = {"distill": "distill", "prun": "prune", "regnet": "backbone", "backbone": "backbone", "teacher": "teacher"}


@dataclass(frozen=True)
class Variant:
    """A row of campaign.json's `variants`."""

    node: Node

    @property
    def name(self) -> Label:
        """What the campaign calls it."""
        return self.node.at("name").label()

    @property
    def precision(self) -> str:
        """As fp32 or int8."""
        return str(self.node.at("precision").content).lower()

    @property
    def technique(self) -> str:
        """Technique in short: direct, distill, backbone, prune or teacher."""
        branch = self.node.find("branch")
        if branch is not None and branch.content == "teacher":
            return "teacher"
        text = str(self.node.at("technique").content or "").lower()
        return next((kind for word, kind in _KINDS.items() if word in text), "direct")

    @property
    def technique_label(self) -> Label:
        """Technique in the campaign's words, with its settings where the record has them; files are left out."""
        node, settings = self.node.at("technique"), self.node.find("technique_settings")
        name = str(node.content or "none")
        if settings is None:
            return Label("direct" if name == "none" else name, node.source)
        rest = {key: value for key, value in settings.content.items() if key not in ("kind", "teacher", "weights")}
        shown = ", ".join(f"{key} {value}" for key, value in rest.items())
        return Label(f"{name}: {shown}" if shown else name, settings.source)

    @property
    def parent(self) -> str:
        """What a pruned network was cut out of: "@" and a variant's name, or a weights file; empty for others."""
        settings = self.node.find("technique_settings")
        return str(settings.content.get("weights", "")) if settings else ""

    @property
    def seeds(self) -> Value:
        """How many runs; the record may list the seeds or count them."""
        node = self.node.at("seeds")
        return node.count() if isinstance(node.content, list) else node.value(0)

    @property
    def map50(self) -> Value:
        """Validation mAP50, the mean of the seeds."""
        return self.node.at("map50_val").value(3)

    @property
    def deviation(self) -> Value | None:
        """Its standard deviation over the seeds; None of a single run."""
        node = self.node.find("map50_val_std")
        return None if node is None or self.seeds.number < 2 else node.value(3)

    def figure(self, key: str, digits: int, unit: str = "") -> Value | None:
        """Another figure of the row, None where nothing stands there."""
        node = self.node.find(key)
        return None if node is None else node.value(digits, unit)

    def by_trainer(self) -> tuple[Value, Value | None]:
        """mAP50 and its deviation as the trainer measured them, with its own letterbox."""
        deviation = self.node.find("map50_val_trainer_std")
        return self.node.at("map50_val_trainer").value(3), deviation.value(3) if deviation else None

    @property
    def measured_by(self) -> str:
        """By what val was evaluated: "detector" (the car's) or "trainer"."""
        node = self.node.find("map50_val_source")
        return str(node.content) if node else "detector"


@dataclass(frozen=True)
class Halted:
    """A training that did not end: an entry of campaign.json's `unfinished`. It has no result."""

    node: Node

    @property
    def name(self) -> Label:
        """The variant's."""
        return self.node.at("variant").label()

    @property
    def technique(self) -> str:
        """As a variant's."""
        return Variant(self.node).technique

    @property
    def technique_label(self) -> Label:
        """As a variant's."""
        return Variant(self.node).technique_label

    @property
    def done(self) -> Value:
        """Epochs behind it."""
        return self.node.at("epochs_done").value(0)

    @property
    def planned(self) -> Value:
        """Epochs that it was to have."""
        return self.node.at("epochs").value(0)

    @property
    def seen(self) -> Node:
        """The trainer's mAP50 on validation after each epoch of its last stage."""
        return self.node.at("map50_val_trainer_by_epoch")

    def after(self, epoch: int) -> Value:
        """One of these, of an epoch counted from one."""
        return self.seen.at(epoch - 1).value(3)


@dataclass(frozen=True)
class Comparison:
    """A variant beside the one that differs from it by the technique alone.

    A network that was pruned from outside of the campaign has none: it stands beside direct training of the same model.
    mine, other: mAP50 of both, measured in the same way. gain: points of mAP50. error: standard error of the gain in
    points, None where a side has a single run.
    """

    variant: Variant
    baseline: Variant
    mine: Value
    other: Value
    gain: Value
    error: Value | None

    @property
    def verdict(self) -> str:
        """helped, hurt, unclear (within twice the standard error) or untested (single runs)."""
        if self.error is None:
            return "untested"
        if abs(self.gain.number) <= 2 * self.error.number:
            return "unclear"
        return "helped" if self.gain.number > 0 else "hurt"

    def latency_gain(self) -> Value | None:
        """Milliseconds saved (negative: lost); None where one of them was not timed."""
        mine, other = self.variant.figure("latency_ms", 2), self.baseline.figure("latency_ms", 2)
        return None if mine is None or other is None else difference(mine, other, 2, " ms")


def variants(archive: Archive) -> list[Variant]:
    """All variants; none where there is no campaign. Raises RecordError where a row lacks a key."""
    campaign = archive.find("campaign.json")
    if campaign is None:
        return []
    found = [Variant(node) for node in campaign.at("variants")]
    for variant in found:
        for key in _REQUIRED:
            variant.node.at(key)
    return found


def halted(archive: Archive) -> list[Halted]:
    """The campaign's trainings that did not end; none where its record does not say how far they got."""
    campaign = archive.find("campaign.json")
    node = campaign.find("unfinished") if campaign else None
    return [Halted(one) for one in node or () if one.find("epochs_done") is not None]


def names_of(found: Iterable[Variant | Halted]) -> list[Label]:
    """Their names, each once, in the order in which they come."""
    first: dict[str, Label] = {}
    for one in found:
        first.setdefault(one.name.text, one.name)
    return list(first.values())


def comparisons(found: Sequence[Variant], technique: str) -> list[Comparison]:
    """Each variant of a technique beside its baseline, at equal precision.

    Of a network that was pruned from a variant that is this variant; of others the direct training of the same model
    (for a foreign backbone: of YOLO11n), with as many epochs where there is one. A variant without such a one is left
    out: beside another architecture it would show more than its technique.
    """
    pairs = []
    for variant in found:
        if variant.technique != technique:
            continue
        baseline = _baseline(variant, found)
        if baseline is not None:
            pairs.append(_compared(variant, baseline))
    return pairs


def students(found: Sequence[Variant]) -> list[Variant]:
    """All but teachers, which are never chosen."""
    return [variant for variant in found if variant.technique != "teacher"]


def best(found: Sequence[Variant]) -> Variant | None:
    """The best on val, teachers aside."""
    return max(students(found), key=lambda variant: variant.map50.number, default=None)


def _baseline(variant: Variant, found: Sequence[Variant]) -> Variant | None:
    if variant.parent.startswith("@"):
        same = [one for one in found if one.precision == variant.precision]
        return next((one for one in same if f"@{one.name.text}" == variant.parent), None)
    direct = [one for one in found if one.technique == "direct" and one.precision == variant.precision]
    alike = [one for one in direct if _model(one) == _model(variant)]
    nano = [one for one in direct if "11n" in f"{_model(one)} {one.name.text}"]
    choice = alike if variant.parent else alike or nano
    budget = variant.node.at("epochs").content
    return next((one for one in choice if one.node.at("epochs").content == budget), next(iter(choice), None))


def _model(variant: Variant) -> str:
    node = variant.node.find("model")
    return str(node.content) if node else ""


def _compared(variant: Variant, baseline: Variant) -> Comparison:
    mine, other = ((one.map50, one.deviation) for one in (variant, baseline))
    if variant.measured_by != baseline.measured_by:
        mine, other = variant.by_trainer(), baseline.by_trainer()
    error = _error(mine[1], variant.seeds, other[1], baseline.seeds)
    return Comparison(variant, baseline, mine[0], other[0], points(mine[0], other[0]), error)


def _error(mine: Value | None, runs: Value, other: Value | None, other_runs: Value) -> Value | None:
    if mine is None or other is None:
        return None

    def of(a: float, n: float, b: float, m: float) -> float:
        return 100 * math.sqrt(a * a / n + b * b / m)

    formula = "100 sqrt(std² / seeds + std² / seeds)"
    return computed(formula, of, mine, runs, other, other_runs, digits=1, unit=" points")
