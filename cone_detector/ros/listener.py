# SPDX-License-Identifier: Apache-2.0
"""Brings `latency` and `/diagnostics` of a running node to the latency monitor."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile

from cone_detector.monitor import Board
from cone_detector.ros.spinning import SpinningNode

_PREFIX = "cone_detector: "


class Listener:
    """Feeds a board from a thread of its own, until closed."""

    def __init__(self, board: Board, ros_arguments: list[str]) -> None:
        """ros_arguments: as `--ros-args -r latency:=/car/latency`."""
        self._board = board
        self._ros = SpinningNode("cone_monitor", ros_arguments)
        subscribe = self._ros.node.create_subscription
        subscribe(DiagnosticArray, "latency", self._take_latency, QoSProfile(depth=50))
        subscribe(DiagnosticArray, "/diagnostics", self._take_diagnostics, QoSProfile(depth=10))
        self._ros.start()

    def close(self) -> None:
        """Ends the thread and ROS."""
        self._ros.close()

    def _take_latency(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        values = {pair.key: pair.value for pair in status.values}
        self._board.hear_latency(values, time.monotonic())

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        ours = [
            (int.from_bytes(status.level, "little"), status.name.removeprefix(_PREFIX), status.message)
            for status in message.status
            if status.name.startswith(_PREFIX)
        ]
        if ours:
            self._board.hear_health(ours)
