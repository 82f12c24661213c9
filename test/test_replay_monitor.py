# SPDX-License-Identifier: Apache-2.0
import pytest
from rich.console import Console

from cone_detector.monitor import Board


def values(total, **changes):
    return {
        "total_ms": f"{total:.3f}", "upload_ms": "nan", "device": "CPU", "passes": "320 (cascade)", "left": "7",
        "right": "6", "cones": "5", "pairs": "40", "dropped": "0", "unpaired": "0", **changes,
    }  # fmt: skip


def text_of(board, now_s):
    console = Console(record=True, width=100, file=None, quiet=False)
    with console.capture() as capture:
        console.print(board.show(now_s))
    return capture.get()


def test_before_the_first_message_it_waits_and_shows_what_diagnostics_say():
    board = Board()
    board.hear_health([(2, "node", "cannot configure: no engine")])
    shown = text_of(board, 0.0)
    assert "waiting" in shown
    assert "cannot configure: no engine" in shown


def test_current_and_percentiles_of_each_measured_stage():
    board = Board()
    for n in range(101):
        board.hear_latency(values(float(n)), n / 50)
    shown = text_of(board, 2.0)
    (row,) = [line.split() for line in shown.splitlines() if " total " in line]
    assert row[1:6] == ["total", "100.00", "50.00", "95.00", "99.00"]
    assert "upload" not in shown, "nan is not measured"
    assert "left 7, right 6, located 5" in shown
    assert "320 (cascade)" in shown
    assert "cone_detector on CPU" in shown


def test_percentiles_are_of_the_last_frames_only():
    board = Board(frames=10)
    for total in [1000.0] * 50 + [1.0] * 10:
        board.hear_latency(values(total), 0.0)
    assert "1000" not in text_of(board, 0.0)


@pytest.mark.parametrize(("hz", "now_s"), [(60, 3.0), (15, 3.0)])
def test_rate_is_that_of_the_last_seconds(hz, now_s):
    board = Board()
    for n in range(int(hz * now_s)):
        board.hear_latency(values(1.0), n / hz)
    assert board.rate_hz(now_s) == pytest.approx(hz, rel=0.02)


def test_a_node_that_falls_silent_is_noticed():
    board = Board()
    board.hear_latency(values(1.0), 0.0)
    assert "silent for 7 s" in text_of(board, 7.0)


def test_why_there_are_no_cones_in_space_is_shown():
    board = Board()
    board.hear_latency(values(1.0, cones="", no_cones_reason="no CameraInfo"), 0.0)
    assert "located none: no CameraInfo" in text_of(board, 0.0)
