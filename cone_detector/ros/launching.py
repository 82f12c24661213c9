# SPDX-License-Identifier: Apache-2.0
"""What the launch files share: arguments made from the table of settings, the environment, and the node itself.

A value given as an argument wins over the YAML file, which wins over the default. Defaults stand in
`cone_detector.settings` only: an argument that nobody gave is not passed on.
"""

from __future__ import annotations

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from cone_detector.ros.arguments import describe, overrides, remappings, to_text
from cone_detector.ros.malloc import ENVIRONMENT
from cone_detector.settings import BY_NAME, SETTINGS, SettingError
from cone_detector.transport import PROFILE_VARIABLES, installed_profile, profile_in_use

PACKAGE = "cone_detector"


def node_actions(config: str, required: bool = False) -> list[LaunchDescriptionEntity]:
    """Everything that starts the detector: arguments first, then the environment, then the node.

    config: default of the argument `config`, a file of the package's folder `config`; empty for none.
    required: whether all else ends when the node does.
    """
    given: set[str] = set()

    def remember(context: LaunchContext) -> None:
        given.update(context.launch_configurations)

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        return [*_environment(context), _node(context, given, required)]

    # Once an argument is declared, a value that was given looks like a default: remember before that.
    return [OpaqueFunction(function=remember), *_arguments(config), OpaqueFunction(function=start)]


def _arguments(config: str) -> list[DeclareLaunchArgument]:
    share = get_package_share_directory(PACKAGE)
    own = [
        ("config", f"{share}/config/{config}" if config else "", "YAML file of parameters; empty: none."),
        ("namespace", "", "Namespace of the node and of its relative topics."),
        ("remap", "", "Topics to rename, as 'left/image:=/zed/left cones:=/track/cones'."),
        ("log_level", "info", "debug, info, warn, error or fatal."),
        (
            "fastdds_profile",
            profile_in_use() or str(installed_profile()),
            "Fast DDS profile of the node; give the camera driver the same one. Empty: the built-in transports.",
        ),
    ]
    arguments = [DeclareLaunchArgument(name, default_value=value, description=doc) for name, value, doc in own]
    return arguments + [
        DeclareLaunchArgument(
            setting.name,
            default_value=to_text(setting.default),
            description=describe(setting),
            choices=list(setting.choices) or None,
        )
        for setting in SETTINGS
    ]


def _environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    profile = LaunchConfiguration("fastdds_profile").perform(context)
    if profile and not os.path.isfile(profile):
        raise SettingError(f"fastdds_profile is '{profile}', which is no file; empty leaves the built-in transports")
    variables = ENVIRONMENT | (dict.fromkeys(PROFILE_VARIABLES, profile) if profile else {})
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]


def _node(context: LaunchContext, given: set[str], required: bool) -> Node:
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    config = argument("config")
    if config and not os.path.isfile(config):
        raise SettingError(f"config is '{config}', which is no file")
    changes = overrides({name: argument(name) for name in given if name in BY_NAME})
    return Node(
        package=PACKAGE,
        executable="cone_detector_node",
        name=PACKAGE,
        namespace=argument("namespace"),
        parameters=[source for source in (config, changes) if source],
        remappings=remappings(argument("remap")),
        ros_arguments=["--log-level", argument("log_level")],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown() if required else None,
    )
