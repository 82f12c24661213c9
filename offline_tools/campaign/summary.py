# SPDX-License-Identifier: AGPL-3.0-only
"""The figures of a campaign, from the records of its phases and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from offline_tools.campaign.freshness import damaged
from offline_tools.campaign.records import RECORD, Record, read_record
from offline_tools.campaign.steps.train import epochs_done, last_epochs
from offline_tools.results import MAP50


def summarize(root: Path, reporting: str = "") -> dict[str, Any]:
    """The content of docs/benchmarks/campaign.json.

    variants: one entry for each variant and precision that was measured, seeds together. unfinished: phases that began
    and did not end, or whose results were damaged since; they give no results. Of a training that was interrupted it
    says how far it got, and what its trainer saw on val on the way. reporting: the phase that asks, which is not over
    and no part of the content.
    """
    done, unfinished = _read(root, reporting)
    trained: dict[str, list[Record]] = {}
    for record in done.values():
        if record.step == "train":
            trained.setdefault(record.labels["variant"], []).append(record)
    variants = []
    for name, runs in trained.items():
        runs.sort(key=lambda record: record.labels["seed"])
        for measured in _measured(name, done):
            variants += _float_entry(measured, runs, done)
            variants += _int8_entries(measured, runs, done)
    return {
        "gate": done["gate"].figures if "gate" in done else None,
        "chosen": done["choose"].figures if "choose" in done else None,
        "final_test": done["final-test"].figures if "final-test" in done else None,
        "variants": variants,
        "unfinished": unfinished,
        "machines": _each(record.machine for record in done.values()),
        "versions": _each(record.versions for record in done.values()),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _read(root: Path, reporting: str) -> tuple[dict[str, Record], list[dict[str, Any]]]:
    done: dict[str, Record] = {}
    unfinished: list[dict[str, Any]] = []
    for path in sorted((root / "phases").glob(f"*/{RECORD}")):
        record = read_record(path.parent)
        if record is None or record.phase == reporting:
            continue
        reason = damaged(path.parent, record) if record.status == "done" else record.error or "was interrupted"
        if reason:
            about = {"phase": record.phase, "status": record.status, "reason": reason}
            unfinished.append(about | _halted(path.parent, record))
        else:
            done[record.phase] = record
    return done, unfinished


def _halted(folder: Path, record: Record) -> dict[str, Any]:
    """How far a training got that did not end; nothing of other phases, nor of results that were damaged since."""
    if record.step != "train" or record.status == "done":
        return {}
    technique = record.settings["technique"]
    epochs, planned = epochs_done(folder, record.settings)
    seen = [round(row[MAP50], 4) for row in last_epochs(folder, record.settings) if MAP50 in row]
    return {
        "variant": record.labels["variant"],
        "branch": record.labels["branch"],
        "model": record.settings["model"],
        "technique": technique["kind"] if technique else "none",
        "technique_settings": technique,
        "seed": record.labels["seed"],
        "epochs": planned,
        "epochs_done": epochs,
        "map50_val_trainer_by_epoch": seen,
    }


def _measured(name: str, done: Mapping[str, Record]) -> list[str]:
    """Names of a variant's engines: its own, and those of passes that it was trained for on the way."""
    found = {record.labels.get("measured", name) for record in done.values() if record.labels.get("variant") == name}
    return sorted(found | {name})


def _float_entry(name: str, runs: Sequence[Record], done: Mapping[str, Record]) -> list[dict[str, Any]]:
    """All seeds together, in float: the detector's figures where each seed has them, else the trainer's."""
    phases = [done.get(f"evaluate-{name}-s{record.labels['seed']}") for record in runs]
    detector = [record.figures for record in phases if record is not None]
    trainer = [record.figures["map50"] for record in runs]
    complete = len(detector) == len(runs)
    if not complete and name != runs[0].labels["variant"]:
        # The trainer's figures are those of the last pass.
        return []
    map50 = [figures["map50"] for figures in detector] if complete else trainer
    entry = {
        **_about(name, runs),
        "precision": "fp32",
        "map50_val": round(fmean(map50), 4),
        "map50_val_std": _deviation(map50),
        "map50_val_source": "detector" if complete else "trainer",
        "map50_val_by_seed": [round(value, 4) for value in map50],
    }
    if complete:
        for key in ("map50_95", "precision_at_best_f1", "recall"):
            entry[f"{key}_val"] = round(fmean(figures[key] for figures in detector), 4)
        entry["images"], entry["data_sha256"] = detector[0]["images"], detector[0]["data_sha256"]
        entry["resolution"] = detector[0]["resolution"]
    return [{**entry, **_latency(done.get(f"latency-{name}-fp32"))}]


def _int8_entries(name: str, runs: Sequence[Record], done: Mapping[str, Record]) -> list[dict[str, Any]]:
    """INT8 of the best seed, one entry for each runtime that it was measured on."""
    entries = []
    for suffix in ("int8", "tensorrt"):
        evaluation, pick = done.get(f"evaluate-{name}-{suffix}"), done.get(f"pick-{name}")
        if evaluation is None or pick is None:
            continue
        figures, seed = evaluation.figures, pick.figures["seed"]
        chosen = [record for record in runs if record.labels["seed"] == seed]
        if not chosen:
            continue
        entries.append(
            {
                **_about(name, chosen),
                "seeds": [seed],
                "precision": figures["precision"],
                "runtime": figures["runtime"],
                "resolution": figures["resolution"],
                "map50_val": figures["map50"],
                "map50_val_std": None,
                "map50_val_source": "detector",
                **{f"{key}_val": figures[key] for key in ("map50_95", "precision_at_best_f1", "recall")},
                "map50_val_float": pick.figures["map50"],
                "images": figures["images"],
                "data_sha256": figures["data_sha256"],
                **_latency(done.get(f"latency-{name}-{suffix}")),
            }
        )
    return entries


def _about(name: str, runs: Sequence[Record]) -> dict[str, Any]:
    first = runs[0]
    technique = first.settings["technique"]
    last = name == first.labels["variant"]
    trainer = [record.figures["map50"] for record in runs] if last else []
    return {
        "name": name,
        "branch": first.labels["branch"],
        "model": first.settings["model"],
        "technique": technique["kind"] if technique else "none",
        "technique_settings": technique,
        "epochs": first.settings["epochs"],
        "seeds": [record.labels["seed"] for record in runs],
        "params": first.figures["params"],
        "gflops": first.figures["gflops"],
        "map50_val_trainer": round(fmean(trainer), 4) if trainer else None,
        "map50_val_trainer_std": _deviation(trainer),
        "train_seconds": [record.seconds for record in runs],
        "train_device": first.figures["device"],
        "train_data_sha256": first.figures.get("data_sha256", {}).get("train"),
        **_start(first.figures.get("start", {})),
        "runs": [{"phase": record.phase, "weights_sha256": record.figures["weights_sha256"]} for record in runs],
    }


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a backbone that was to start from ImageNet's weights did."""
    asked = start.get("technique", {}).get("pretrained", False)
    return {"imagenet_weights": start.get("imagenet_weights", False)} if asked else {}


def _latency(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"latency_ms": None}
    machine = record.machine.get("gpu") if record.labels.get("runtime") == "tensorrt" else record.machine.get("cpu")
    return {"latency_ms": record.figures["detector_ms_p50"], "latency": {**record.figures, "machine": machine}}


def _deviation(values: Sequence[float]) -> float | None:
    """The sample's standard deviation; None of one value, which says nothing of the spread."""
    return round(stdev(values), 4) if len(values) > 1 else None


def _each(values: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each different one, once. The load of a machine at one moment makes it no other machine."""
    found = []
    for value in values:
        kept = {key: item for key, item in value.items() if key != "load_average_1min"}
        if kept not in found:
            found.append(kept)
    return found
