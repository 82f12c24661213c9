# SPDX-License-Identifier: AGPL-3.0-only
"""The records that the report is made of: which there are, and for a missing one the command that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from offline_tools.report.records import Node, Record, RecordError
from offline_tools.report.values import Kind

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Known:
    """A record that the report asks for. what: it holds, as it stands in a sentence "... is missing"."""

    file: str
    kind: Kind
    what: str
    command: str


ADAPTIVE_ON_THE_CAR = "adaptive_nvidia-geforce-rtx-4060-simulated.json"
_CAMPAIGN = "cone-tools campaign config/campaign/two_branches.yaml --record docs/benchmarks/campaign.json"
_EVALUATE = "cone-tools evaluate engines/*.json --data DATASET --json docs/benchmarks/accuracy.json --shipped --note"
KNOWN = {
    known.file: known
    for known in (
        Known("campaign.json", Kind.MEASURED, "the trained variants and the gate", _CAMPAIGN),
        Known("accuracy.json", Kind.MEASURED, "the accuracy of each engine file", _EVALUATE),
        Known("test_ledger.json", Kind.MEASURED, "the looks at the test split", _EVALUATE + " --split test"),
        Known("policy_test.json", Kind.MEASURED, "the looks of whole policies at the test split",
              "cone-tools final --data DATASET"),
        Known("data_check.json", Kind.MEASURED, "what the data is made of and its near twins",
              "cone-tools data check DATASET --json docs/benchmarks/data_check.json"),
        Known("h200.json", Kind.MEASURED, "the latency of TensorRT engines on a GPU",
              "cone-tools benchmark engines/*-tensorrt.json --output docs/benchmarks/h200.json"),
        Known("rtx4060.json", Kind.SIMULATED, "the projection to the car's RTX 4060",
              "cone-tools projection docs/benchmarks/h200.json --output docs/benchmarks/rtx4060.json"),
        Known("cpu_pipeline.json", Kind.MEASURED, "the whole pipeline on a CPU beside ultralytics",
              "cone-replay bench-cpu"),
        Known("adaptive.json", Kind.MEASURED, "the adaptive policies", "cone-tools policies --data DATASET"),
        Known(ADAPTIVE_ON_THE_CAR, Kind.SIMULATED, "the adaptive policies at the costs projected for the car's GPU",
              "cone-tools policies --data DATASET --costs docs/benchmarks/rtx4060.json --only-costs"),
        Known("stereo.json", Kind.MEASURED, "the accuracy of cones in space",
              "cone-tools stereo --output docs/benchmarks/stereo.json"),
        Known("node_60hz.json", Kind.MEASURED, "the node at camera rate", "cone-replay bench-node"),
        Known("node_h200.json", Kind.MEASURED, "the node with TensorRT on a GPU",
              "cone-replay run BAG --mode ros --rate 60"),
        Known("sensitivity.json", Kind.MEASURED, "what INT8 costs module by module",
              "cone-tools sensitivity MANIFEST --data DATASET --json docs/benchmarks/sensitivity.json"),
    )
}  # fmt: skip
_TRAINING = "cone-tools train CONFIG"
_REGISTRY = Known("test_split.json", Kind.MEASURED, "the registry of test images", "cone-tools data register DATASET")


@dataclass(frozen=True)
class Archive:
    """All records found, by file name, and those that are missing.

    quoted: figures of others, each with its reference. targets: what the plan asks for.
    """

    records: dict[str, Record]
    missing: tuple[Known, ...]

    @classmethod
    def read(cls, folder: Path, registry: Path | None = None, campaign: Path | None = None) -> Archive:
        """Reads `folder` (docs/benchmarks). registry: of the split guard. campaign: a campaign.json to read instead.

        Raises RecordError on a damaged record.
        """
        if not folder.is_dir():
            raise RecordError(f"{folder} is no folder of records: name one, such as docs/benchmarks")
        records, missing = {}, []
        for known in KNOWN.values():
            file = campaign if campaign and known.file == campaign.name else folder / known.file
            if file.is_file():
                record = Record.read(file, known.file, known.kind, known.command)
                records[known.file] = _by_its_campaign(record) if known.file == "campaign.json" else record
            else:
                missing.append(known)
        for file in sorted((folder / "training").glob("*.json")) + sorted((folder / "training").glob("*.csv")):
            name = f"training/{file.name}"
            records[name] = Record.read(file, name, Kind.MEASURED, _TRAINING)
        if registry is not None and registry.is_file():
            records[_REGISTRY.file] = Record.read(registry, _REGISTRY.file, _REGISTRY.kind, _REGISTRY.command)
        for name, kind in (("quoted.yaml", Kind.QUOTED), ("targets.yaml", Kind.TARGET)):
            records[name] = Record.read(HERE / name, name, kind, "hand")
        projection = records.get("rtx4060.json")
        if projection is not None and projection.root.at("simulated").content is not True:
            raise RecordError("rtx4060.json is a projection, but its `simulated` is not true")
        return cls(records, tuple(missing))

    def find(self, file: str) -> Node | None:
        """The content of a record, or None where it is missing."""
        record = self.records.get(file)
        return None if record is None else record.root

    def training(self) -> Iterator[tuple[Node, Node]]:
        """Each training run that left both: its JSON and the rows of its CSV."""
        for name in self.records:
            table = self.find(name.removesuffix(".json") + ".csv")
            if name.startswith("training/") and name.endswith(".json") and table is not None:
                yield self.records[name].root, table

    @property
    def quoted(self) -> Node:
        """Figures of others."""
        return self.records["quoted.yaml"].root

    @property
    def targets(self) -> Node:
        """What the plan asks for."""
        return self.records["targets.yaml"].root


def _by_its_campaign(record: Record) -> Record:
    """The record with the command of the campaign that wrote it, where it says which that was."""
    name = record.content.get("campaign") if isinstance(record.content, dict) else None
    if not name:
        return record
    shipped = (HERE.parents[1] / "config" / "campaign" / f"{name}.yaml").is_file()
    return replace(record, command=_CAMPAIGN.replace("two_branches", str(name) if shipped else "CONFIG"))
