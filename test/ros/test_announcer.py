# SPDX-License-Identifier: Apache-2.0
"""The log tells a change of state once, and no passing one."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from cone_detector.ros.announcer import Announcer

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.mark.parametrize(
    ("levels", "news"),
    [
        ([OK, OK, OK], []),
        ([ERROR, OK, OK], []),
        ([OK, WARN, OK, WARN, OK], []),
        ([ERROR, ERROR, ERROR, ERROR], [ERROR]),
        ([WARN, WARN, ERROR, ERROR, OK, OK, OK], [WARN, ERROR, OK]),
        ([ERROR, ERROR, OK, ERROR, ERROR], [ERROR]),
    ],
    ids=["well", "a bad start", "flicker", "once", "worse and well again", "a short recovery"],
)
def test_a_level_is_news_once_it_holds(levels, news):
    announcer = Announcer()
    told = [s.level for level in levels for s in announcer.news([DiagnosticStatus(name="input", level=level)])]
    assert told == news


def test_statuses_are_apart():
    announcer = Announcer()
    report = [DiagnosticStatus(name=name, level=level) for name, level in (("a", OK), ("b", WARN), ("c", ERROR))]
    assert list(announcer.news(report)) == []
    assert [status.name for status in announcer.news(report)] == ["b", "c"]
