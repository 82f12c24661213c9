# SPDX-License-Identifier: Apache-2.0
"""Parameters have one table of defaults; a wrong value is refused with its name and what is allowed."""

import pytest

from cone_detector.settings import BY_NAME, SETTINGS, SettingError, Settings


def test_every_default_is_allowed_and_names_are_unique():
    assert len(BY_NAME) == len(SETTINGS)
    for setting in SETTINGS:
        assert setting.check(setting.default) == setting.default


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("confidence", 1.5, "confidence is 1.5, must lie in 0.01 to 1"),
        ("confidence", "high", "confidence is 'high', must be float"),
        ("confidence", float("nan"), "confidence is nan"),
        ("queue.depth", 0, "queue.depth is 0, must lie in 1 to 16"),
        ("queue.depth", 1.5, "must be int"),
        ("queue.depth", True, "must be int"),
        ("policy.name", "magic", "must be one of auto, fixed_320, fixed_640, "),
        ("autostart", 1, "must be bool"),
        ("no.such", 1, "no.such is no parameter"),
    ],
)
def test_a_wrong_value_is_refused(name, value, message):
    with pytest.raises(SettingError, match=message):
        Settings({name: value})


def test_a_change_makes_a_new_set_and_leaves_the_old():
    old = Settings()
    new = old.changed({"confidence": 0.5})
    assert (old["confidence"], new["confidence"]) == (0.35, 0.5)
    assert new.changed({"queue.depth": 2})["confidence"] == 0.5


def test_whole_numbers_serve_as_real_ones():
    assert Settings({"sync.tolerance_ms": 8})["sync.tolerance_ms"] == 8.0
