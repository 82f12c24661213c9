# SPDX-License-Identifier: Apache-2.0
"""A ROS node that listens in a thread of its own, for programs that do something else in the main one."""

from __future__ import annotations

from threading import Thread

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


class SpinningNode:
    """Starts ROS in this process; `close` ends it. Ctrl-C is left to the caller.

    node: to subscribe with, before `start`.
    """

    def __init__(self, name: str, ros_arguments: list[str]) -> None:
        """ros_arguments: as `--ros-args -r latency:=/car/latency`."""
        rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = Thread(target=self._spin, name=name, daemon=True)

    def start(self) -> None:
        """Callbacks are called from now on, in the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and ROS."""
        self._executor.shutdown()
        if self._thread.ident is not None:
            self._thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
