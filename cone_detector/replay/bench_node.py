# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the node: 60 Hz of two camera images through Fast DDS, with a stand-in engine of a GPU's latency.

Player, node and listener are processes of their own. The table says where the node's CPU time goes: its threads' CPU
clocks are read at each crossing between rclpy and our code (`ros/measured_node.py`), so shares are sums, not samples.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.replay.machine import machine, versions
from cone_detector.replay.processes import Child, ReplayError, ros_environment, running
from cone_detector.replay.report import write_json

_MINUTE = 60.0
# Of /proc/PID/status: all of the process's memory, what is its own, and what it shares with the camera.
_MEMORY = {"rss": "VmRSS", "rss_anon": "RssAnon", "rss_shmem": "RssShmem"}
# Seconds, and megabytes by the names of `_MEMORY`.
MemoryLog = list[tuple[float, dict[str, float]]]


def bench_node(
    bag: Path, seconds: float, rate_hz: float, latency_ms: float, queue_depth: int, logs: Path
) -> dict[str, Any]:
    """Runs the benchmark and returns its figures. Raises ReplayError where a process fails."""
    variables = ros_environment()
    os.environ.update(variables)
    from cone_detector.ros.arrivals import Arrivals

    load_before = os.getloadavg()[0]
    figures_file = logs / "node_figures.json"
    figures_file.unlink(missing_ok=True)
    with ExitStack() as stack:
        arguments = [f"--figures={figures_file}", f"--latency-ms={latency_ms}"]
        arguments += ["--ros-args", "-p", f"queue.depth:={queue_depth}"]
        node = stack.enter_context(
            running("node", "cone_detector.ros.measured_node", arguments, logs / "node.log", variables)
        )
        arrivals = Arrivals()
        stack.callback(arrivals.close)
        while not arrivals.connected:
            node.check()
            time.sleep(0.05)
        arguments = [str(bag), f"--rate={rate_hz}", f"--seconds={seconds}", "--loop"]
        player = stack.enter_context(
            running("player", "cone_detector.ros.player", arguments, logs / "player.log", variables)
        )
        memory = _watch_memory(node, player)
        time.sleep(1.0)
        node.check()
        node.end()
        node.check()
    told = player.events()["done"]
    if not figures_file.is_file():
        raise ReplayError(f"the node left no figures; {node.log} says:\n{node.last_words()}")
    measured = json.loads(figures_file.read_text())
    if not measured["age_ms"]:
        raise ReplayError(f"the node answered no pair; {node.log} says:\n{node.last_words()}")
    figures = summarize_node(measured, told, memory, {t: len(ages) for t, ages in arrivals.age_ms.items()})
    figures["settings"] = {
        "rate_hz": rate_hz,
        "engine_latency_ms": latency_ms,
        "queue_depth": queue_depth,
        "bag": bag.name,
    }
    figures["age_at_listener_ms_p50"], figures["age_at_listener_ms_p99"] = (
        round(float(p), 3) for p in np.percentile(arrivals.age_ms["detections/right"], (50, 99))
    )
    figures["machine"] = {**machine(), "load_average_before": round(load_before, 2)}
    figures["versions"] = versions()
    figures["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return figures


def summarize_node(
    measured: Mapping[str, Any], told: Mapping[str, Any], memory: MemoryLog, arrived: Mapping[str, int]
) -> dict[str, Any]:
    """Figures of a run.

    measured: what `MeasuredNode.figures` gave. told: the player's counts. memory: of the node.
    arrived: messages at the listener, by topic.

    rss holds rss_anon, the node's own memory; rss_shmem, what it has read of the camera's shared memory (up to the
    segment of the profile, as far as the camera has ever needed it) and its own segment; and files.
    """
    at = np.array(measured["seconds"]) - measured["seconds"][0]
    age, total = np.array(measured["age_ms"]), np.array(measured["total_ms"])
    seconds = float(at[-1])
    window = min(_MINUTE, seconds / 2)
    first, last = at <= window, at >= seconds - window
    pairing, answered = measured["pairing"], len(age)
    begin, end = memory[0][0], memory[-1][0]
    minutes = {
        "first": [megabytes for when, megabytes in memory if when <= begin + window],
        "last": [megabytes for when, megabytes in memory if when >= end - window],
    }
    return {
        "seconds": round(seconds, 1),
        "pairs_sent": told["sent"],
        "pairs_lost": told["sent"] - answered,
        "lost_before_the_node": told["sent"] - min(pairing["received"]),
        "lost_in_the_node": min(pairing["received"]) - answered,
        "dropped_in_the_queue": pairing["dropped"],
        "unpaired": sum(pairing["unpaired"]),
        "arrived_at_listener": dict(arrived),
        "player_late": told["late"],
        "publish_pair_ms_p50": round(told["publish_ms_p50"], 3),
        "age_ms_p50": round(float(np.percentile(age, 50)), 3),
        "age_ms_p99": round(float(np.percentile(age, 99)), 3),
        "age_ms_max": round(float(age.max()), 3),
        "age_p99_ms_first_minute": round(float(np.percentile(age[first], 99)), 3),
        "age_p99_ms_last_minute": round(float(np.percentile(age[last], 99)), 3),
        "total_ms_p50": round(float(np.percentile(total, 50)), 3),
        "total_ms_p99": round(float(np.percentile(total, 99)), 3),
        **{
            f"{kind}_mb_{which}_minute": round(float(np.mean([megabytes[kind] for megabytes in minute])), 2)
            for kind in _MEMORY
            for which, minute in minutes.items()
        },
        **cpu_shares(measured["cpu_first_ns"], measured["cpu_last_ns"], seconds),
        "faults": measured["faults"],
    }


def cpu_shares(first: Mapping[str, int], last: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Shares of the node's CPU time, 0..1, and the cores that it keeps busy. first, last: `Ledger.snapshot`.

    rclpy: the main thread outside our callbacks (waiting, taking, converting messages), and publishing. own: our
    callbacks and the inference thread without publishing. middleware: Fast DDS's threads, which are neither.
    """
    spent = {name: last[name] - first[name] for name in last}
    whole = spent["process"]
    rclpy = spent["main_thread"] - spent["callbacks"] + spent["publishing"]
    own = spent["callbacks"] + spent["inference_thread"] - spent["publishing"]
    return {
        "rclpy_share": round(rclpy / whole, 4),
        "own_share": round(own / whole, 4),
        "middleware_share": round((whole - rclpy - own) / whole, 4),
        "cpu_cores": round(whole / 1e9 / seconds, 4),
    }


def write_node_figures(figures: Mapping[str, Any], path: Path) -> Path:
    """Writes the JSON and, beside it, the table for people; returns the table's path."""
    write_json(path, figures)
    cores = figures["cpu_cores"]
    rows = [
        ("rclpy: wait, take, convert, publish", "rclpy_share"),
        ("our code: callbacks, letterbox, detection, stereo, filling messages", "own_share"),
        ("Fast DDS's own threads", "middleware_share"),
    ]
    lines = [
        "# The node at 60 Hz: where its time goes" if figures["settings"]["rate_hz"] == 60 else "# Where its time goes",
        "",
        f"Two 1280x720 cameras at {figures['settings']['rate_hz']:g} Hz for {figures['seconds']:g} s on "
        f"{figures['machine']['cpu']} ({figures['machine']['cpu_count']} cores), with a stand-in engine that takes "
        f"{figures['settings']['engine_latency_ms']:g} ms and queue.depth {figures['settings']['queue_depth']}. "
        "Written by `cone-replay bench-node`.",
        "",
        "| | share of the node's CPU time | cores | a pair, ms |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {figures[key]:.1%} | {figures[key] * cores:.3f} | "
            f"{figures[key] * cores * 1e3 / figures['settings']['rate_hz']:.2f} |"
            for name, key in rows
        ),
        f"| all | 100 % | {cores:.3f} | {cores * 1e3 / figures['settings']['rate_hz']:.2f} |",
        "",
        f"Pairs sent {figures['pairs_sent']}, lost {figures['pairs_lost']} (before the node "
        f"{figures['lost_before_the_node']}, in it {figures['lost_in_the_node']}). "
        f"Age p50 {figures['age_ms_p50']:.2f} ms; p99 {figures['age_p99_ms_first_minute']:.2f} ms in the first minute, "
        f"{figures['age_p99_ms_last_minute']:.2f} ms in the last. Memory {figures['rss_mb_first_minute']:.1f} MB, then "
        f"{figures['rss_mb_last_minute']:.1f} MB; the node's own part of it "
        f"{figures['rss_anon_mb_first_minute']:.1f} MB, then {figures['rss_anon_mb_last_minute']:.1f} MB, "
        "the rest shared with the camera or files.",
        "",
        "The CPU clocks of the node's threads are read wherever rclpy calls our code and our code calls rclpy; the "
        "rest of the process's time is the middleware's.",
    ]
    table = path.with_suffix(".md")
    table.write_text("\n".join(lines) + "\n")
    return table


def _resident_mb(pid: int) -> dict[str, float]:
    """Resident megabytes of a process, by `_MEMORY`; see proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[field].split()[0]) * 1024 / 1e6 for name, field in _MEMORY.items()}


def _watch_memory(node: Child, player: Child) -> MemoryLog:
    """Seconds and resident megabytes of the node, once a second, until the player ends."""
    memory: MemoryLog = []
    while player.running:
        node.check()
        if not node.running:
            raise ReplayError(f"the node ended; {node.log} says:\n{node.last_words()}")
        if "ready" in player.events():
            memory.append((time.monotonic(), _resident_mb(node.pid)))
        time.sleep(1.0)
    player.check()
    return memory
