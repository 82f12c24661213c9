# SPDX-License-Identifier: Apache-2.0
"""What the launch files share: arguments made from the table of settings, the environment, and the node itself.

A value given as an argument wins over the YAML file, which wins over the default. Defaults stand in
`cone_detector.settings` only: an argument that nobody gave is not passed on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from cone_detector.ros.arguments import describe, from_text, overrides, remappings, to_text
from cone_detector.ros.malloc import ENVIRONMENT
from cone_detector.settings import BY_NAME, INPUTS, SETTINGS, Setting, SettingError, Value
from cone_detector.transport import PROFILE_VARIABLES, installed_profile, profile_in_use

PACKAGE = "cone_detector"

# rclpy's own parameter, and so none of the table.
_SIM_TIME = Setting("use_sim_time", False, "Take the time from /clock.")

# In a bigger launch other programs' arguments come along: a name must be this close to one of ours to be a slip.
_SLIP = 0.85

_OWN = {
    "config": "YAML file of parameters; empty: none.",
    "namespace": "Namespace of the node and of its relative topics.",
    "remap": "Topics to rename, as 'left/image:=/zed/left cones:=/track/cones'.",
    "log_level": "debug, info, warn, error or fatal.",
    "fastdds_profile": (
        "Fast DDS profile of the node; give the camera driver the same one. Empty: the built-in transports."
    ),
}


@dataclass(frozen=True)
class Given:
    """What a user gave of the node: parameters, namespace, and remappings as (from, to)."""

    parameters: dict[str, Value]
    namespace: str
    remappings: list[tuple[str, str]]


def detector(config: str, companion: Callable[[Given], Node] | None = None) -> GroupAction:
    """Everything that starts the detector: arguments first, then the environment, then the node.

    It is a scope of its own: a second one beside it sees no default of the first as given, and the environment is the
    node's alone. config: default of the argument `config`, a file of the package's folder `config`; empty for none.
    companion: makes what is started with the node, in the same environment, and is of no use without it. It feeds the
    node under the default topics, so those of a YAML file, which are the cameras', do not count then.
    """
    names: set[str] = set()

    def remember(context: LaunchContext) -> None:
        names.update(context.launch_configurations)
        _warn_of_slips(names)

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        given = _given(context, names)
        node = _node(context, given, names, fed=companion is not None)
        return [*_environment(context), node, *([companion(given)] if companion else [])]

    # Once an argument is declared, a value that was given looks like a default: remember before that.
    actions = [OpaqueFunction(function=remember), *_arguments(config), OpaqueFunction(function=start)]
    return GroupAction(actions, scoped=True, forwarding=True)


def _warn_of_slips(names: set[str]) -> None:
    known = {_SIM_TIME.name, *_OWN, *BY_NAME}
    for name in sorted(names - known):
        for close in get_close_matches(name, known, 1, _SLIP):
            get_logger(PACKAGE).warning(f"argument '{name}' is none of the detector's: did you mean '{close}'?")


def _arguments(config: str) -> list[DeclareLaunchArgument]:
    share = get_package_share_directory(PACKAGE)
    defaults = {
        "config": f"{share}/config/{config}" if config else "",
        "log_level": "info",
        "fastdds_profile": profile_in_use() or str(installed_profile()),
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=defaults.get(name, ""), description=doc) for name, doc in _OWN.items()
    ]
    return arguments + [
        DeclareLaunchArgument(
            setting.name,
            default_value=to_text(setting.default),
            description=describe(setting),
            choices=list(setting.choices) or None,
        )
        for setting in (_SIM_TIME, *SETTINGS)
    ]


def _environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    profile = _argument(context, "fastdds_profile")
    if profile and not os.path.isfile(profile):
        raise SettingError(f"fastdds_profile is '{profile}', which is no file; empty leaves the built-in transports")
    variables = ENVIRONMENT | (dict.fromkeys(PROFILE_VARIABLES, profile) if profile else {})
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]


def _argument(context: LaunchContext, name: str) -> str:
    return LaunchConfiguration(name).perform(context)


def _given(context: LaunchContext, names: set[str]) -> Given:
    parameters = overrides({name: _argument(context, name) for name in names if name in BY_NAME})
    return Given(parameters, _argument(context, "namespace"), remappings(_argument(context, "remap")))


def _node(context: LaunchContext, given: Given, names: set[str], fed: bool) -> Node:
    config = _argument(context, "config")
    if config and not os.path.isfile(config):
        raise SettingError(f"config is '{config}', which is no file")
    inputs = {name: BY_NAME[name].default for name in BY_NAME if name.startswith(INPUTS)} if fed and config else {}
    changes = inputs | given.parameters
    if _SIM_TIME.name in names:
        changes[_SIM_TIME.name] = from_text(_SIM_TIME, _argument(context, _SIM_TIME.name))
    return Node(
        package=PACKAGE,
        executable="cone_detector_node",
        name=PACKAGE,
        namespace=given.namespace,
        parameters=[source for source in (config, changes) if source],
        remappings=given.remappings,
        ros_arguments=["--log-level", _argument(context, "log_level")],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown() if fed else None,
    )
