# SPDX-License-Identifier: Apache-2.0
"""Brings `latency` and `/diagnostics` of a running node to the latency monitor."""

from __future__ import annotations

import time
from threading import Thread

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from cone_detector.monitor import Board

_PREFIX = "cone_detector: "


class Listener:
    """Feeds a board from a thread of its own, until closed."""

    def __init__(self, board: Board, ros_arguments: list[str]) -> None:
        """ros_arguments: as `--ros-args -r latency:=/car/latency`."""
        self._board = board
        rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("cone_monitor")
        self._node.create_subscription(DiagnosticArray, "latency", self._take_latency, QoSProfile(depth=50))
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, QoSProfile(depth=10))
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = Thread(target=self._spin, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and ROS."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _take_latency(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        values = {pair.key: pair.value for pair in status.values}
        self._board.hear_latency(values, status.hardware_id, time.monotonic())

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        ours = [
            (int.from_bytes(status.level, "little"), status.name.removeprefix(_PREFIX), status.message)
            for status in message.status
            if status.name.startswith(_PREFIX)
        ]
        if ours:
            self._board.hear_health(ours)
