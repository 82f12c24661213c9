# SPDX-License-Identifier: Apache-2.0
"""A program of ours that publishes images does so through shared memory, unless it is told another way."""

import os

import pytest

from cone_detector.transport import PROFILE_VARIABLES, installed_profile, profile_in_use, use_installed_profile


@pytest.mark.parametrize("given", ["", *PROFILE_VARIABLES])
def test_the_installed_profile_is_taken_unless_another_was_given(monkeypatch, given):
    for name in PROFILE_VARIABLES:
        monkeypatch.setenv(name, "")
    if given:
        monkeypatch.setenv(given, "/team/own.xml")
    use_installed_profile()
    assert profile_in_use() == ("/team/own.xml" if given else str(installed_profile()))
    assert installed_profile().is_file()
    if not given:
        assert {os.environ[name] for name in PROFILE_VARIABLES} == {str(installed_profile())}
