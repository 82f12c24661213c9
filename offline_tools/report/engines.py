# SPDX-License-Identifier: AGPL-3.0-only
"""An engine's accuracy and latency: what a row of the ablation table holds, and which record entry fits."""

from __future__ import annotations

from dataclasses import dataclass

from offline_tools.report.archive import Archive
from offline_tools.report.records import Node
from offline_tools.report.text import Part, Parts
from offline_tools.report.values import Label, Value, total


@dataclass(frozen=True)
class Stages:
    """A latency in milliseconds of a stereo pair. around: letterbox and NMS together, where they were not separated."""

    inference: Value | None
    before: Value | None = None
    behind: Value | None = None
    around: Value | None = None
    whole: Value | None = None


@dataclass(frozen=True)
class Accuracy:
    """Figures on one data set; data: which, with the number of images."""

    data: str
    map50: Value
    map50_95: Value | None = None
    precision: Value | None = None
    recall: Value | None = None
    images: Value | None = None


@dataclass(frozen=True)
class Entry:
    """A row: what ran, where, how well and how fast.

    accuracy: on val, or of a policy on sequences; None where no record fits. test: mAP50 on test.
    own: speed-up against the baseline measured on the same machine in the same way.
    """

    platform: Label
    model: Label
    precision: Label
    resolution: Label
    policy: Part | Parts
    accuracy: Accuracy | None
    test: Value | None
    stages: Stages
    own: Value | None = None

    @property
    def latency(self) -> Value | None:
        """The figure that is compared: the whole where it is known, else the network's."""
        return self.stages.whole or self.stages.inference


def accuracy_of(node: Node | None) -> Accuracy | None:
    """An entry of accuracy.json as figures."""
    if node is None:
        return None
    return Accuracy(
        str(node.at("split").content),
        node.at("map50").value(),
        node.at("map50_95").value(),
        node.at("precision_at_best_f1").value(),
        node.at("recall").value(),
        node.at("images").value(0),
    )


def find_accuracy(archive: Archive, precision: str, resolution: str, split: str, **wanted: str) -> Node | None:
    """The entry of accuracy.json of this split that fits; the last one written, if several do."""
    record = archive.find("accuracy.json")
    found = None
    for entry in record.at("models") if record else ():
        mine = {key: str(entry.at(key).content) for key in ("precision", "resolution", "split")}
        rest = all(str(node.content) == value for key, value in wanted.items() if (node := entry.find(key)) is not None)
        if mine == {"precision": precision, "resolution": resolution, "split": split} and rest:
            found = entry
    return found


def test_of(node: Node | None) -> Value | None:
    """mAP50 of an entry of accuracy.json, None of none."""
    return None if node is None else node.at("map50").value()


def policy_accuracy(policies: Node | None) -> Accuracy | None:
    """Of the policy on top of adaptive.json, on its driving sequences."""
    if policies is None:
        return None
    sequences = [node.value(0) for node in policies.at("data", "sequences")]
    return Accuracy(
        "sequences",
        policies.at("map50").value(),
        precision=policies.at("precision").value(),
        images=total(sequences, 0),
    )


def plan_accuracy(archive: Archive, model: str, precision: str, canvas: str) -> tuple[Accuracy | None, Value | None]:
    """On val and test: of the plan itself where it was evaluated, else of the ONNX that it is built from."""
    found: list[Node | None] = []
    for split in ("val", "test"):
        plan = find_accuracy(archive, precision, canvas, split, name=model, runtime="tensorrt")
        # An FP16 plan is built from the float file.
        source = "fp32" if precision == "fp16" else precision
        found.append(plan or find_accuracy(archive, source, canvas, split, name=model, runtime="onnx"))
    return accuracy_of(found[0]), test_of(found[1])
