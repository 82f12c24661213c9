# SPDX-License-Identifier: Apache-2.0
"""The table of settings as ROS parameters: declared with ranges, checked, changed while the node runs."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from cone_detector.settings import BY_NAME, SETTINGS, Setting, SettingError, Settings

# Declared by rclpy itself.
_FOREIGN = ("use_sim_time", "start_type_description_service")


def at_reload(setting: Setting) -> bool:
    """Whether a change waits for the next reload of engines, or configure; it is accepted at any time."""
    return setting.name.startswith("engine.")


def when_it_counts(setting: Setting) -> str:
    """When a change of this parameter takes effect, for people."""
    if setting.live:
        return "takes effect at once"
    if at_reload(setting):
        return "takes effect at the next reload of engines"
    return "read when the node is configured"


def describe(setting: Setting) -> ParameterDescriptor:
    """The descriptor of one parameter: meaning, range, allowed values, when it takes effect."""
    descriptor = ParameterDescriptor(name=setting.name, description=setting.doc)
    constraints = [f"one of {', '.join(setting.choices)}"] if setting.choices else []
    descriptor.additional_constraints = "; ".join([*constraints, when_it_counts(setting)])
    if setting.low is not None and setting.high is not None:
        if type(setting.default) is float:
            limits = FloatingPointRange(from_value=float(setting.low), to_value=float(setting.high))
            descriptor.floating_point_range = [limits]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(setting.low), to_value=int(setting.high), step=1)]
    return descriptor


class NodeParameters:
    """The node's parameters, as one `Settings` that is replaced as a whole.

    The node must declare parameters from overrides by itself, so that a misspelt name is seen here.
    """

    def __init__(
        self,
        node: Node,
        configured: Callable[[], bool],
        check: Callable[[Settings], None],
        apply: Callable[[Settings], None],
    ) -> None:
        """Declares all parameters. configured: whether settings that are not live are in use.

        check: raises SettingError for a change that does not fit what is in use. apply: gets changes.
        Raises SettingError where a value given at start is not allowed.
        """
        self._configured = configured
        self._check_use = check
        self._apply = apply
        self.unknown = _take_unknown(node)
        given = {name: node.get_parameter(name).value for name in BY_NAME if node.has_parameter(name)}
        self.settings = Settings(given)
        for setting in SETTINGS:
            if setting.name in given:
                node.undeclare_parameter(setting.name)
            node.declare_parameter(setting.name, self.settings[setting.name], describe(setting), ignore_override=True)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuses what is out of range and what would have no effect now."""
        changes = _ours(parameters)
        try:
            self._check_use(self.settings.changed(changes))
        except SettingError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in changes:
            setting = BY_NAME[name]
            if self._configured() and not setting.live and not at_reload(setting):
                reason = f"{name} is {when_it_counts(setting)}: clean the node up first (ros2 lifecycle set)"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _take(self, parameters: list[Parameter]) -> None:
        changes = _ours(parameters)
        if changes:
            self.settings = self.settings.changed(changes)
            self._apply(self.settings)


def _ours(parameters: list[Parameter]) -> dict[str, bool | int | float | str]:
    return {parameter.name: parameter.value for parameter in parameters if parameter.name in BY_NAME}


def _take_unknown(node: Node) -> list[str]:
    """One line for each given parameter that is none of ours; they are undeclared, as if they had not been given."""
    lines = []
    for name in sorted(node.get_parameters_by_prefix("")):
        if name in BY_NAME or name in _FOREIGN:
            continue
        close = get_close_matches(name, BY_NAME, 1)
        hint = f": did you mean '{close[0]}'?" if close else ""
        lines.append(f"parameter '{name}' is none of this node's and is ignored{hint}")
        node.undeclare_parameter(name)
    return lines
