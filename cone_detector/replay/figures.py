# SPDX-License-Identifier: Apache-2.0
"""Writes the measured figures of docs/benchmarks into the pages: `make figures`, after a record has been renewed.

Nothing is typed: the pages hold what the records hold, between two marks, and a test compares them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path("docs/benchmarks")
INDEX = RECORDS / "README.md"
_BEGIN, _END = "<!-- figures: written by `make figures` -->\n", "<!-- end of figures -->\n"

Row = tuple[str, str, str]

# What each record holds, and the command that writes it.
_KNOWN = {
    "accuracy": (
        "mAP of the shipped engine files, and of plans built from them, on labelled frames",
        "cone-tools evaluate engines/*.json --json",
    ),
    "adaptive": ("adaptive policies: cost and accuracy beside fixed 320 and 640, a paced run", "cone-tools policies"),
    "adaptive_nvidia-geforce-rtx-4060-simulated": (
        "the same policies at the costs that are expected of the car's GPU",
        "cone-tools policies --costs docs/benchmarks/rtx4060.json --only-costs",
    ),
    "adaptive_val": (
        "the same policies on the real val clips alone, at those costs",
        "cone-tools policies --data DATASET --costs docs/benchmarks/rtx4060.json --only-costs",
    ),
    "adaptive_nvidia-h200": (
        "the same policies at the costs of a GPU that was measured",
        "cone-tools policies --costs docs/benchmarks/h200.json --only-costs",
    ),
    "campaign": ("training campaign: techniques, and which engine was chosen", "cone-tools campaign"),
    "cpu_pipeline": ("the whole pipeline on a CPU beside bare inference and ultralytics", "cone-replay bench-cpu"),
    "data_check": ("checks of the data that models were trained on", "cone-tools data check"),
    "h200": ("engines on a GPU: latency by stage, beside a naive use of the same network", "cone-tools benchmark"),
    "node_60hz": ("the node at 60 Hz: lost pairs, age, memory, CPU time", "cone-replay bench-node"),
    "node_h200": (
        "the node at 60 Hz with TensorRT on a GPU, through ROS: latency by stage, cones, lost pairs",
        "cone-replay run BAG --mode ros --rate 60",
    ),
    "policy_test": (
        "the node as it drives, all passes of its policy together, on the test split",
        "cone-tools final",
    ),
    "rtx4060": ("latency expected of the car's GPU, from that of another", "cone-tools projection"),
    "sensitivity": ("which parts of the network suffer from INT8", "cone-tools sensitivity"),
    "stereo": ("depth against exact truth: errors, covariance, time", "cone-tools stereo"),
    "test_ledger": (
        "every look that was ever taken at the test split",
        "cone-tools evaluate --split test, cone-tools final",
    ),
    "transport": ("two camera streams with and without the profile", "cone_detector.ros.transport_benchmark"),
}


def main() -> int:
    """Entry point; returns the exit status."""
    for path, text in pages(ROOT).items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


def pages(root: Path) -> dict[Path, str]:
    """The pages with figures, as they should be. Raises ValueError where one lacks its marks."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted((root / RECORDS).glob("*.json"))}
    tables = {
        root / "README.md": _table(root, records, _summary(records)),
        root / "docs" / "latency.md": _table(root / "docs", records, _latency(records)),
        root / "docs" / "stereo.md": _depth(records["stereo"]),
        root / INDEX: _index(records),
    }
    return {path: _put(path, table) for path, table in tables.items()}


def _put(path: Path, table: str) -> str:
    before, begin, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the line '{_BEGIN.strip()}' or '{_END.strip()}'")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _summary(records: Mapping[str, Any]) -> list[Row]:
    """What, figure, record's name: the figures that the front page quotes."""
    rows: list[Row] = []
    if cpu := records.get("cpu_pipeline"):
        rows += [
            (
                "a stereo pair on a CPU, default policy, image to cone",
                _ms(cpu, "adaptive_pipeline"),
                "cpu_pipeline",
            ),
            ("the same with one pass over everything at 640", _ms(cpu, "pipeline"), "cpu_pipeline"),
            (
                "of which the network alone",
                f"{_ms(cpu, 'bare_inference')}; the whole is {cpu['pipeline_over_bare_inference']:.2f} times that",
                "cpu_pipeline",
            ),
            (
                "ultralytics on the same pairs: as it comes; all cores; its OpenVINO INT8",
                ", ".join(
                    f"{cpu[f'{name}_ms_p50']:.1f}"
                    for name in ("ultralytics", "ultralytics_all_cores", "ultralytics_openvino_int8")
                )
                + " ms",
                "cpu_pipeline",
            ),
        ]
    rows += [row for row in _latency(records) if "lost" in row[0]]
    shipped = [model for model in records.get("accuracy", {}).get("models", []) if model.get("shipped")]
    rows += [
        (
            f"mAP50 of {model['file']} on {model['split']}",
            f"{model['map50']:.3f}",
            "accuracy",
        )
        for model in shipped
        if model["split"] == "test" and "openvino" in model["file"]
    ]
    gpu = records.get("h200", {"engines": []})
    names = {model["name"] for model in shipped}
    rows += [
        (
            f"{engine['model']} {engine['canvas']} {engine['precision']} on {gpu['machine']['gpu']}: the GPU's part; "
            "images to boxes; images to cones in space; a naive use, to boxes",
            f"{engine['gpu_graph_ms_p50']:.2f}; {engine['detector_ms_p50']:.2f}; {engine['cones_ms_p50']:.2f}; "
            f"{engine['naive_ms_p50']:.1f} ms",
            "h200",
        )
        for engine in gpu["engines"]
        if engine["model"] in names and engine["naive_ms_p50"] is not None
    ]
    if adaptive := records.get("adaptive"):
        rows.append(
            (
                "default policy on a CPU beside fixed 640: mean cost of the network; mAP50; recall of far cones",
                f"{adaptive['cost_ratio']:.2f} x; {-adaptive['map50_loss_pt']:+.1f} points; "
                f"{-adaptive['far_recall_loss_pt']:+.1f} points",
                "adaptive",
            )
        )
    if stereo := records.get("stereo"):
        errors = " / ".join(f"{stereo['median_depth_error_pct'][metres]:.2f}" for metres in ("5", "10", "15"))
        centres = " / ".join(f"{stereo['centre_baseline_pct'][metres]:.2f}" for metres in ("5", "10", "15"))
        rows += [
            (
                "median depth error at 5 / 10 / 15 m, renders",
                f"{errors} % (centres of boxes: {centres} %)",
                "stereo",
            ),
            ("true positions inside the 95 % covariance", f"{100 * stereo['coverage_95']:.1f} %", "stereo"),
        ]
    return rows


def _latency(records: Mapping[str, Any]) -> list[Row]:
    """The figures of the node under load."""
    return [*_node_with_stand_in(records), *_node_on_gpu(records)]


def _node_on_gpu(records: Mapping[str, Any]) -> list[Row]:
    node = records.get("node_h200")
    if node is None:
        return []
    total, pairs = node["latency_ms"]["total"], node["pairs"]
    return [
        (
            f"the whole node at {node['rate_hz']:g} Hz, {node['engine']}: second image to published cones, p50, p99; "
            f"pairs lost of {pairs['sent']}",
            f"{total['p50']:.1f} and {total['p99']:.1f} ms; {pairs['sent'] - pairs['processed']}",
            "node_h200",
        )
    ]


def _node_with_stand_in(records: Mapping[str, Any]) -> list[Row]:
    node = records.get("node_60hz")
    if node is None:
        return []
    settings = node["settings"]
    first, last = node["rss_mb_first_minute"], node["rss_mb_last_minute"]
    return [
        (
            f"pairs lost of {node['pairs_sent']:,}, {settings['rate_hz']:g} Hz for {node['seconds']:.0f} s, an engine "
            f"of {settings['engine_latency_ms']:g} ms, queue.depth {settings['queue_depth']}",
            f"{node['pairs_lost']} ({node['lost_in_the_node']} of them in the node)",
            "node_60hz",
        ),
        (
            "age, p50; p99 in the first and the last minute",
            f"{node['age_ms_p50']:.1f} ms; {node['age_p99_ms_first_minute']:.1f} and "
            f"{node['age_p99_ms_last_minute']:.1f} ms",
            "node_60hz",
        ),
        ("total, p50 and p99", f"{node['total_ms_p50']:.1f} and {node['total_ms_p99']:.1f} ms", "node_60hz"),
        ("memory in the first and the last minute", f"{first:.0f} and {last:.0f} MB", "node_60hz"),
        (
            "CPU: all; rclpy; this package; Fast DDS",
            f"{node['cpu_cores']:.2f} cores; {100 * node['rclpy_share']:.0f} %; {100 * node['own_share']:.0f} %; "
            f"{100 * node['middleware_share']:.0f} %",
            "node_60hz",
        ),
    ]


def _ms(record: Mapping[str, Any], name: str) -> str:
    return f"{record[f'{name}_ms_p50']:.1f} ms"


def _table(folder: Path, records: Mapping[str, Any], rows: list[Row]) -> str:
    """A table whose records are links from `folder`, and a line on the machines."""
    way = "docs/benchmarks" if (folder / "docs").is_dir() else "benchmarks"
    lines = ["| | measured | record |", "| --- | --- | --- |"]
    lines += [f"| {what} | {figure} | [{record}]({way}/{record}.json) |" for what, figure, record in rows]
    machines = sorted({text for _, _, record in rows if (text := _machine(records[record]))})
    if machines:
        lines += ["", f"On {'; '.join(machines)}."]
    return "\n".join(lines) + "\n"


def _depth(stereo: Mapping[str, Any]) -> str:
    lines = [
        "| true depth | median error, refined | median error, box centres alone | standard deviation, refined |",
        "| --- | --- | --- | --- |",
    ]
    for metres, error in stereo["median_depth_error_pct"].items():
        centres, spread = stereo["centre_baseline_pct"][metres], stereo["depth"][metres]["standard_deviation_m"]
        lines.append(f"| {metres} m | {error:.2f} % | {centres:.1f} % | {spread:.2f} m |")
    lines += ["", f"{100 * stereo['coverage_95']:.1f} % of the true places lie in the 95 % covariance ellipsoid."]
    return "\n".join(lines) + "\n"


def _index(records: Mapping[str, Any]) -> str:
    lines = ["| record | what | written by | on | date |", "| --- | --- | --- | --- | --- |"]
    for name, record in records.items():
        what, command = _KNOWN.get(name, ("", ""))
        date = str(record.get("date", ""))[:10]
        cells = (f"[{name}.json]({name}.json)", what, f"`{command}`" if command else "", _machine(record), date)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _machine(record: Mapping[str, Any]) -> str:
    """The machine of a record, in words; empty where the record does not depend on one."""
    found = record.get("machine") or next(iter(record.get("machines") or ()), None)
    if isinstance(found, str):
        return found
    if not isinstance(found, Mapping):
        return ""
    if gpu := found.get("gpu"):
        # Behind the name its driver may stand.
        return str(gpu if isinstance(gpu, str) else gpu.get("name", "")).partition(",")[0]
    cores = found.get("cpu_count")
    return f"{found.get('cpu', found.get('name', ''))}" + (f", {cores} cores" if cores else "")


if __name__ == "__main__":
    sys.exit(main())
