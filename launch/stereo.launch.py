# SPDX-License-Identifier: Apache-2.0
"""The detector on live cameras: `ros2 launch cone_detector stereo.launch.py`; --show-args lists every argument."""

from launch import LaunchDescription

from cone_detector.ros.launching import detector


def generate_launch_description():
    return LaunchDescription([detector(config="stereo.yaml")])
