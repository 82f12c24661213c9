# SPDX-License-Identifier: Apache-2.0
"""Whether two camera streams arrive: with and without the shared-memory profile, with and without tuned malloc.

`python -m cone_detector.ros.transport_benchmark` starts a sender and a receiver for each setting and prints a table; no
detector runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import Image

from cone_detector.replay.machine import machine, versions
from cone_detector.replay.processes import Child, ReplayError, ros_environment, running
from cone_detector.replay.stream import Parcel
from cone_detector.ros.malloc import keep_large_buffers
from cone_detector.ros.player import SIDES, Player
from cone_detector.transport import PROFILE_VARIABLES

_SHAPE = (720, 1280, 3)
# Setting: whether the profile is used, and whether malloc is tuned.
SETTINGS = {"default": (False, False), "profile": (True, False), "profile and malloc": (True, True)}
_QUIET_S, _START_S = 2.0, 30.0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.role:
        return {"send": _send, "receive": _receive}[options.role](options)
    try:
        results = [_measure(name, rate, options) for rate in options.rate for name in SETTINGS]
    except ReplayError as error:
        print(f"transport benchmark: {error}", file=sys.stderr)
        return 1
    _show(results)
    if options.json:
        report = {"image": "1280x720 bgr8", "results": results, "machine": machine(), "versions": versions()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _measure(name: str, rate_hz: float, options: argparse.Namespace) -> dict[str, Any]:
    """One setting at one rate, in two processes of their own."""
    with_profile, tuned = SETTINGS[name]
    variables = ros_environment()
    if not with_profile:
        variables |= dict.fromkeys(PROFILE_VARIABLES, "")
    arguments = [f"--rate={rate_hz}", f"--seconds={options.seconds}", *(["--tuned"] if tuned else [])]
    with tempfile.TemporaryDirectory() as logs:
        with (
            _child("receive", arguments, Path(logs), variables) as receiver,
            _child("send", arguments, Path(logs), variables) as sender,
        ):
            end = time.monotonic() + _START_S + options.seconds
            while receiver.running and time.monotonic() < end:
                receiver.check()
                sender.check()
                time.sleep(0.1)
        received, sent = receiver.events().get("received"), sender.events().get("sent")
        if received is None or sent is None:
            raise ReplayError(f"nothing was measured; the receiver says:\n{receiver.last_words()}")
    lost = {side: 100.0 * (1.0 - received["images"][i] / sent["pairs"]) for i, side in enumerate(SIDES)}
    return {
        "setting": name,
        "rate_hz": rate_hz,
        "pairs_sent": sent["pairs"],
        **{f"lost_{side}_pct": round(share, 2) for side, share in lost.items()},
        **{key: received[key] for key in ("pair_ms_p50", "pair_ms_p99", "receiver_cores")},
    }


def _child(role: str, arguments: list[str], logs: Path, variables: dict[str, str]) -> AbstractContextManager[Child]:
    return running(role, __spec__.name, [f"--role={role}", *arguments], logs / f"{role}.log", variables)


def _send(options: argparse.Namespace) -> int:
    if options.tuned:
        keep_large_buffers()
    noise = np.random.default_rng(0).integers(0, 256, _SHAPE, np.uint8)
    message = Image(height=_SHAPE[0], width=_SHAPE[1], encoding="bgr8", step=_SHAPE[1] * _SHAPE[2])
    message.data.frombytes(noise.tobytes())
    rclpy.init()
    player = Player(rclpy.create_node("transport_sender"), (None, None), reliable=False)
    if not player.wait_for_subscribers(_START_S):
        return 1
    images = tuple(bytearray(serialize_message(message)) for _ in SIDES)
    player.play(_parcels(images), options.rate[0], options.seconds)
    time.sleep(_QUIET_S)
    _tell("sent", pairs=len(player.stamps_ns))
    rclpy.shutdown()
    return 0


def _parcels(images: tuple[bytearray, ...]) -> Iterator[Parcel]:
    return repeat(Parcel((images[0], images[1])))


def _receive(options: argparse.Namespace) -> int:
    if options.tuned:
        keep_large_buffers()
    rclpy.init()
    node = rclpy.create_node("transport_receiver")
    qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    arrivals: tuple[dict[int, int], ...] = ({}, {})

    def take(side: int, message: Image) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        arrivals[side][stamp_ns] = time.time_ns()

    for side, name in enumerate(SIDES):
        node.create_subscription(Image, f"{name}/image", lambda message, side=side: take(side, message), qos)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + _START_S
    first_cpu = cpu = first = last = 0.0
    count = 0
    while time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
        total = sum(map(len, arrivals))
        if total > count:
            count, last = total, time.monotonic()
            deadline = last + _QUIET_S
            if not first:
                first, first_cpu = last, time.process_time()
            cpu = time.process_time()
    pairs_ms = [(max(arrivals[0][s], arrivals[1][s]) - s) / 1e6 for s in arrivals[0].keys() & arrivals[1].keys()]
    p50, p99 = np.percentile(pairs_ms, (50, 99)).round(2).tolist() if pairs_ms else (None, None)
    _tell(
        "received",
        images=[len(one) for one in arrivals],
        pair_ms_p50=p50,
        pair_ms_p99=p99,
        receiver_cores=round((cpu - first_cpu) / max(last - first, 1e-9), 2),
    )
    rclpy.shutdown()
    return 0


def _tell(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def _show(results: list[dict[str, Any]]) -> None:
    table = Table("setting", "Hz", "lost left/right, %", "pair p50/p99, ms", "receiver, cores", box=None)
    for row in results:
        table.add_row(
            row["setting"],
            f"{row['rate_hz']:g}",
            f"{row['lost_left_pct']:.1f} / {row['lost_right_pct']:.1f}",
            f"{row['pair_ms_p50']:.1f} / {row['pair_ms_p99']:.1f}" if row["pair_ms_p50"] else "no pair",
            f"{row['receiver_cores']:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cone_detector.ros.transport_benchmark", description=__doc__)
    parser.add_argument("--rate", type=float, nargs="+", default=[30.0, 60.0], help="pairs a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each setting")
    parser.add_argument("--json", type=Path, help="file to write, as docs/benchmarks/transport.json")
    parser.add_argument("--role", choices=("send", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
