# SPDX-License-Identifier: Apache-2.0
"""The detector on live cameras: `ros2 launch cone_detector stereo.launch.py`; --show-args lists every argument."""

from launch import LaunchDescription

from cone_detector.ros.launching import node_actions


def generate_launch_description():
    return LaunchDescription(node_actions(config="stereo.yaml"))
