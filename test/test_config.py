# SPDX-License-Identifier: Apache-2.0
"""The parameter files that come with the package are valid, and hold nothing that is a default anyway."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cone_detector.settings import BY_NAME, Settings

CONFIG = Path(__file__).parent.parent / "config"


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """ROS parameter names and values of a nested mapping."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_stereo_yaml_sets_known_parameters_away_from_their_defaults():
    values = dict(flat(yaml.safe_load((CONFIG / "stereo.yaml").read_text())["/**"]["ros__parameters"]))
    assert values
    settings = Settings(values)
    assert all(settings[name] != BY_NAME[name].default for name in values)
