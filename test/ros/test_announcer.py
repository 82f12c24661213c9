# SPDX-License-Identifier: Apache-2.0
"""The log tells a change of state once, and no passing one."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from cone_detector.ros.announcer import Announcer

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
WELL, WORSE, BAD = (OK, "in step"), (WARN, "7 pairs dropped"), (ERROR, "/left has no publisher")


@pytest.mark.parametrize(
    ("reports", "news"),
    [
        ([WELL, WELL, WELL], []),
        ([BAD, WELL, WELL], []),
        ([WELL, WORSE, WELL, WORSE, WELL], []),
        ([BAD, BAD, BAD, BAD], [BAD]),
        ([WORSE, WORSE, BAD, BAD, WELL, WELL, WELL], [WORSE, BAD, WELL]),
        ([BAD, BAD, WELL, BAD, BAD], [BAD]),
        ([WORSE, (WARN, "8 pairs dropped"), (WARN, "12 pairs dropped")], [(WARN, "8 pairs dropped")]),
        ([BAD, BAD, (ERROR, "/left: QoS"), (ERROR, "/left: QoS")], [BAD, (ERROR, "/left: QoS")]),
    ],
    ids=[
        "well",
        "a bad start",
        "flicker",
        "once",
        "worse and well again",
        "a short recovery",
        "other numbers",
        "another cause",
    ],
)
def test_a_state_is_news_once_it_holds(reports, news):
    announcer = Announcer()
    told = []
    for level, message in reports:
        told += announcer.news([DiagnosticStatus(name="input", level=level, message=message)])
    assert [(status.level, status.message) for status in told] == news


def test_statuses_are_apart():
    announcer = Announcer()
    report = [DiagnosticStatus(name=name, level=level) for name, level in (("a", OK), ("b", WARN), ("c", ERROR))]
    assert list(announcer.news(report)) == []
    assert [status.name for status in announcer.news(report)] == ["b", "c"]
