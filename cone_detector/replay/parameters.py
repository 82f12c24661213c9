# SPDX-License-Identifier: Apache-2.0
"""The node's parameters from a command line."""

from __future__ import annotations

from collections.abc import Iterable

from cone_detector.ros.arguments import overrides
from cone_detector.settings import BY_NAME, SettingError, Value


def parse_parameters(texts: Iterable[str]) -> dict[str, Value]:
    """Checked parameters of 'name=value' texts. Raises SettingError."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals or name not in BY_NAME:
            raise SettingError(f"--param {name}: must be one of the node's parameters, as confidence=0.5")
    return overrides({name: text for name, _, text in pairs})
