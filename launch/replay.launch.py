# SPDX-License-Identifier: Apache-2.0
"""The detector on a stereo bag, played like a camera: `ros2 launch cone_detector replay.launch.py bag:=PATH rate:=60`.

Ends with a table of latency and drops, and the same as JSON and plots in `output`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from cone_detector.ros.arguments import to_text
from cone_detector.ros.launching import Given, detector


def player(given: Given) -> Node:
    """Plays the bag and measures the node, which it tells apart by what was given."""
    options = [part for name in ("rate", "seconds", "output") for part in (f"--{name}", LaunchConfiguration(name))]
    parameters = [part for name, value in given.parameters.items() for part in ("--param", f"{name}={to_text(value)}")]
    return Node(
        package="cone_detector",
        executable="cone-replay",
        namespace=given.namespace,
        remappings=given.remappings,
        arguments=["run", LaunchConfiguration("bag"), "--attach", *options, *parameters],
        output="screen",
        on_exit=Shutdown(),
    )


def generate_launch_description():
    bag = [
        DeclareLaunchArgument("bag", description="rosbag2 folder, or one .mcap or .db3 file."),
        DeclareLaunchArgument("rate", default_value="0.0", description="Pairs a second; 0: as recorded."),
        DeclareLaunchArgument("seconds", default_value="0.0", description="Loop for so long; 0: play it once."),
        DeclareLaunchArgument("output", default_value="replay_output", description="Folder of the report."),
    ]
    # The bag is played under the default topic names. The car's YAML may be given: its topics do not count here.
    return LaunchDescription([*bag, detector(config="", companion=player)])
