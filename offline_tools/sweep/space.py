# SPDX-License-Identifier: AGPL-3.0-only
"""The search space of a sweep: what may vary, and between which bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offline_tools.sweep import SweepError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

KINDS = ("float", "log", "int", "choice")

# Set by the sweep itself, or a way around the split guard.
_RESERVED = frozenset(
    {"data", "split", "val", "source", "model", "pretrained", "resume", "project", "name", "exist_ok", "save_dir"}
    | {"mode", "task", "cfg", "device"}
)


@dataclass(frozen=True)
class Parameter:
    """One setting that varies.

    kind: "float", "log" (a float, sampled in its logarithm), "int" (both ends included) or "choice".
    bounds: (low, high); empty for a choice. options: the values of a choice, of any YAML type; else empty.
    """

    name: str
    kind: str
    bounds: tuple[float, ...] = ()
    options: tuple[Any, ...] = ()

    def edges(self) -> tuple[Any, ...]:
        """The values that stand for all others when the space is checked: both ends, or every option."""
        return self.options or tuple(int(end) if self.kind == "int" else end for end in self.bounds)

    def distribution(self) -> BaseDistribution:
        """The same for Optuna. Options are kept as JSON, since Optuna's categories hold no lists."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution([json.dumps(option) for option in self.options])
        low, high = self.bounds
        if self.kind == "int":
            return IntDistribution(int(low), int(high))
        return FloatDistribution(low, high, log=self.kind == "log")


Space = Mapping[str, Parameter]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter."""
    return {name: parameter.distribution() for name, parameter in space.items()}


def decode(space: Space, sampled: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna sampled as settings of the trainer."""
    return {name: json.loads(value) if space[name].kind == "choice" else value for name, value in sampled.items()}


def encode(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: settings of the trainer as Optuna's parameters."""
    return {name: json.dumps(value) if space[name].kind == "choice" else value for name, value in params.items()}


def refuse_reserved(name: str) -> None:
    """Raises SweepError for a setting that a sweep must not touch."""
    if name in _RESERVED:
        raise SweepError(f"{name}: the sweep sets this itself; a trial sees the prepared train and val split, no other")


def read_space(values: object) -> dict[str, Parameter]:
    """The mapping under `space:` of a sweep's file. Raises SweepError naming the parameter, its value and the fix."""
    if not isinstance(values, dict) or not values:
        raise SweepError("space is empty: name at least one setting, as `lr0: {log: [0.0005, 0.01]}`")
    return {str(name): _parameter(str(name), entry) for name, entry in values.items()}


def _parameter(name: str, entry: object) -> Parameter:
    refuse_reserved(name)
    if not isinstance(entry, dict) or len(entry) != 1 or next(iter(entry)) not in KINDS:
        raise SweepError(f"space: {name} is {entry!r}, must be one of {', '.join(KINDS)} with its values in a list")
    kind, values = next(iter(entry.items()))
    if not isinstance(values, list) or len(values) < 2:
        raise SweepError(f"space: {name} has {kind} {values!r}, needs a list of two values or more")
    if kind == "choice":
        if len({json.dumps(value) for value in values}) < len(values):
            raise SweepError(f"space: {name} offers a choice twice: {values!r}")
        return Parameter(name, kind, options=tuple(values))
    return Parameter(name, kind, bounds=_bounds(name, kind, values))


def _bounds(name: str, kind: str, values: list[Any]) -> tuple[float, float]:
    try:
        # YAML takes 1e-4, without a point, for a text.
        low, high = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise SweepError(f"space: {name} has {kind} {values!r}, needs two numbers, low and high") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SweepError(f"space: {name} goes from {values[0]} to {values[1]}: the first must be the lower one")
    if kind == "log" and low <= 0:
        raise SweepError(f"space: {name} is log from {values[0]}: the lower end must be above 0")
    if kind == "int" and (low != int(low) or high != int(high)):
        raise SweepError(f"space: {name} is int from {values[0]} to {values[1]}: both must be whole numbers")
    return low, high
