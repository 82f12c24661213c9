# SPDX-License-Identifier: AGPL-3.0-only
"""From the configuration to the graph of phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from offline_tools.campaign.config import CampaignConfig, Variant
from offline_tools.campaign.phase import CampaignError, External, Phase, When, in_order
from offline_tools.campaign.training import train_phase, views, weights_of

GATE, CHOOSE, TEST, REPORT = "gate", "choose", "final-test", "report"


def make_plan(config: CampaignConfig) -> list[Phase]:
    """All phases, each behind what it needs, and first those that should start first. Raises CampaignError."""
    plan = _Plan(config)
    trainings = [train_phase(config, plan.base, variant, seed) for variant, seed in plan.networks()]
    measured = [
        phase
        for variant in config.variants
        for name, view in views(config, variant)
        for phase in plan.measure(variant, name, view)
    ]
    phases = [*plan.data(), *trainings, *measured, *plan.gate(), *plan.decide()]
    phases.append(_report(config, phases))
    return in_order([plan.behind_the_gate(phase) for phase in phases])


class _Plan:
    def __init__(self, config: CampaignConfig) -> None:
        self.config = config
        try:
            self.base: dict[str, Any] = yaml.safe_load(Path(config.train).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise CampaignError(f"train: {config.train} cannot be read: {error}") from error
        self.branch = {variant.name: variant.branch for variant in config.variants}

    def networks(self) -> list[tuple[Variant, int]]:
        return [(variant, seed) for variant in self.config.variants for seed in variant.seeds]

    def data(self) -> list[Phase]:
        """Phases that make the data, where none is given."""
        found = []
        scenes = self.config.dataset.scenes
        if scenes:
            outputs = ("data.yaml", *(f"{split}/*/*" for split in scenes))
            found.append(Phase("scenes", "scenes", {"counts": dict(scenes)}, outputs=outputs))
        if not self.config.data:
            outputs = ("data/prepared.json", "data/data.yaml", "data/*.txt", "data/*/images/*", "data/*/labels/*")
            settings = {"sources": [] if scenes else self.base.get("sources", [])}
            found.append(Phase("prepare", "prepare", settings, *self._sources(), outputs=outputs))
        return found

    def _sources(self) -> tuple[dict[str, str], dict[str, External]]:
        if self.config.dataset.scenes:
            return {"scenes": "scenes/figures.json"}, {}
        sources = enumerate(self.base.get("sources", []))
        return {}, {f"source:{number}": External(Path(source["path"]), "split") for number, source in sources}

    def dataset(self, split: str) -> dict[str, Any]:
        """The inputs by which a phase reads one split of the labelled frames."""
        if self.config.dataset.scenes:
            return {"inputs": {"dataset": "scenes/figures.json"}}
        return {"external": {"dataset": External(Path(self.config.dataset.path), "split", split)}}

    def source(self) -> dict[str, Any]:
        """Settings by which frames are read."""
        return {"aspect": self.config.dataset.aspect, "border": self.config.dataset.border}

    def measure(self, variant: Variant, name: str, view: str) -> list[Phase]:
        """From the weights of each seed to the engine of the best, its accuracy on val and its latency."""
        engine = f"{name}-{view}"
        labels = {"variant": variant.name, "branch": variant.branch, "measured": name, "pass": view}
        found, inputs = [], {}
        for seed in variant.seeds:
            export = Phase(
                f"export-{name}-s{seed}",
                "export",
                {"model": name, "pass": view},
                {"weights": weights_of(self.config, variant, seed, view)},
                outputs=(f"{engine}.json", f"{engine}.onnx"),
                labels={**labels, "seed": seed},
            )
            manifest = f"{export.name}/{engine}.json"
            evaluation = self._evaluate(f"{name}-s{seed}", manifest, {**labels, "seed": seed})
            found += [export, evaluation]
            inputs[f"engine:{seed}"] = manifest
            inputs[f"evaluation:{seed}"] = f"{evaluation.name}/figures.json"
        outputs = (f"{engine}.json", f"{engine}.onnx")
        pick = Phase(f"pick-{name}", "pick", {}, inputs, outputs=outputs, collects=True, labels=labels)
        found += [pick, *self._latency(name, "fp32", f"{pick.name}/{engine}.json", labels)]
        if variant.int8:
            found += self._int8(name, f"{pick.name}/{engine}.json", engine, labels)
        return found

    def _evaluate(self, name: str, manifest: str, labels: dict[str, Any]) -> Phase:
        phase = Phase(f"evaluate-{name}", "evaluate", {"split": "val", **self.source()}, labels=labels)
        read = self.dataset("val")
        return replace(phase, inputs={"engine": manifest, **read.get("inputs", {})}, external=read.get("external", {}))

    def _int8(self, name: str, manifest: str, engine: str, labels: dict[str, Any]) -> list[Phase]:
        read = self.dataset("train")
        stem = f"{engine}-int8-openvino"
        outputs = [f"{stem}.json", f"{stem}.xml", f"{stem}.bin"]
        if "tensorrt" in self.config.runtimes:
            outputs += [f"{engine}-int8-qdq.json", f"{engine}-int8-qdq.onnx"]
        int8 = Phase(
            f"int8-{name}",
            "int8",
            {"images": self.config.calibration_images, "runtimes": list(self.config.runtimes), **self.source()},
            {"engine": manifest, **read.get("inputs", {})},
            read.get("external", {}),
            tuple(outputs),
            labels={**labels, "precision": "int8"},
        )
        quantized = f"{int8.name}/{stem}.json"
        found = [
            int8,
            self._evaluate(f"{name}-int8", quantized, {**labels, "precision": "int8"}),
            *self._latency(name, "int8", quantized, labels),
        ]
        if "tensorrt" in self.config.runtimes:
            found += self._tensorrt(name, manifest, f"{int8.name}/{engine}-int8-qdq.json", labels)
        return found

    def _latency(self, name: str, precision: str, manifest: str, labels: dict[str, Any]) -> list[Phase]:
        settings = {"pairs": self.config.latency_pairs}
        labels = {**labels, "precision": precision}
        return [
            Phase(f"latency-{name}-{precision}", "latency", settings, {"engine": manifest}, alone=True, labels=labels)
        ]

    def _tensorrt(self, name: str, manifest: str, quantized: str, labels: dict[str, Any]) -> list[Phase]:
        labels = {**labels, "precision": "int8", "runtime": "tensorrt"}
        build = Phase(
            f"build-{name}",
            "build",
            {},
            {"float": manifest, "quantized": quantized},
            outputs=("engines/*.json", "engines/*.plan"),
            device=True,
            labels=labels,
        )
        plan = f"{build.name}/engines/*int8*.json"
        evaluation = replace(self._evaluate(f"{name}-tensorrt", plan, labels), device=True)
        latency = Phase(
            f"latency-{name}-tensorrt",
            "latency",
            {"pairs": self.config.latency_pairs},
            {"engine": plan},
            device=True,
            alone=True,
            labels=labels,
        )
        return [build, evaluation, latency]

    def gate(self) -> list[Phase]:
        """The gate, where branch A has variants."""
        inputs = {
            f"evaluation:{name}-s{seed}": f"evaluate-{name}-s{seed}/figures.json"
            for variant, seed in self.networks()
            for name, _ in views(self.config, variant)
            if variant.branch == "A"
        }
        settings = {key: value for key, value in asdict(self.config.gate).items() if key != "train_both"}
        return [Phase(GATE, "gate", settings, inputs, collects=True)] if inputs else []

    def decide(self) -> list[Phase]:
        """The choice among the engines, and the final evaluation of the chosen one."""
        inputs = {GATE: f"{GATE}/figures.json"} if "A" in self.branch.values() else {}
        branch = {}
        for variant in self.config.variants:
            if variant.branch != "teacher":
                for name, view in views(self.config, variant):
                    branch[name] = variant.branch
                    inputs.update(_candidate(name, view, variant.int8))
        settings = {"margin": self.config.margin, "branch": branch}
        choose = Phase(CHOOSE, "choose", settings, inputs, outputs=("engine/*.json",), collects=True)
        has_test = "test" in self.config.dataset.scenes or not self.config.dataset.scenes
        if not self.config.ledger or not has_test:
            return [choose]
        read = self.dataset("test")
        test = Phase(
            TEST,
            "final_test",
            {**self.source(), "ledger": self.config.ledger},
            {"engine": f"{CHOOSE}/engine/*.json", **read.get("inputs", {})},
            read.get("external", {}),
        )
        return [choose, test]

    def behind_the_gate(self, phase: Phase) -> Phase:
        """The phase, with the condition that its branch puts on it."""
        name, branch = phase.labels.get("variant"), phase.labels.get("branch")
        if name is None or self.config.gate.train_both or "A" not in self.branch.values():
            return phase
        if branch != "A":
            return replace(phase, when=When(GATE, ("both", "B")))
        before = ("train", "export", "evaluate") if "precision" not in phase.labels else ("train",)
        return phase if phase.step in before else replace(phase, when=When(GATE, ("A", "both")))


def _report(config: CampaignConfig, phases: Sequence[Phase]) -> Phase:
    inputs = {f"figures:{phase.name}": f"{phase.name}/figures.json" for phase in phases}
    return Phase(
        REPORT, "report", {"campaign": config.name}, inputs, outputs=("campaign.json", "report.*"), collects=True
    )


def _candidate(name: str, view: str, int8: bool) -> dict[str, str]:
    """What the choice must know of one engine."""
    if int8:
        engine, measured, precision = f"int8-{name}/{name}-{view}-int8-openvino.json", f"evaluate-{name}-int8", "int8"
    else:
        engine, measured, precision = f"pick-{name}/{name}-{view}.json", f"pick-{name}", "fp32"
    return {
        f"engine:{name}": engine,
        f"evaluation:{name}": f"{measured}/figures.json",
        f"latency:{name}": f"latency-{name}-{precision}/figures.json",
    }
