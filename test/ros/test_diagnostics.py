# SPDX-License-Identifier: Apache-2.0
"""A report tells what came since the last one, and its worst news first."""

from dataclasses import replace

import numpy as np
import pytest
from doubles import TableEngine
from harness import values_of

from cone_detector.pairing import NearestMiss, PairingCounts
from cone_detector.ros.diagnostics import ERROR, OK, WARN, Reporter, Snapshot
from cone_detector.ros.statistics import Statistics, StreamWatch

PERIOD = 16_666_667


def stream(count, step=1):
    watch = StreamWatch()
    for n in range(count):
        watch.note(n * step * PERIOD, 2_764_800)
    return watch


def snapshot(**changes):
    engine = TableEngine(lambda name, canvas: np.zeros((2, 300, 6), np.float32))
    good = Snapshot(
        "active",
        "",
        Statistics(),
        engine=engine,
        choice="openvino, as a test wants it",
        counts=PairingCounts(paired=60),
        streams={"left/image": stream(60), "right/image": stream(60)},
        tolerance_ms=5.0,
        profile="config/fastdds_shm.xml",
    )
    return replace(good, **changes)


def report(*snapshots):
    """Statuses of the last of several reports, a second apart, by part."""
    reporter = Reporter(0.0)
    for second, each in enumerate(snapshots, 1):
        statuses = reporter.report(each, float(second))
    return {status.name.removeprefix("cone_detector: "): status for status in statuses}


def test_rates_are_of_the_last_second_and_survive_a_clean_up():
    before = snapshot(counts=PairingCounts(paired=100), streams={"left/image": stream(100)})
    after = snapshot(counts=PairingCounts(paired=130), streams={"left/image": stream(130)})
    anew = snapshot(counts=PairingCounts(paired=5), streams={"left/image": stream(5)})
    for snapshots, rate in (((before, after), "30.000"), ((before, after, anew), "5.000")):
        values = values_of(report(*snapshots)["input"])
        assert (values["pair rate (Hz)"], values["rate left/image (Hz)"]) == (rate, rate)


LEVELS = {
    "well": ({}, "input", OK, "both cameras in step"),
    "not active": ({"state": "inactive"}, "node", WARN, "inactive: configure and activate it"),
    "the end": ({"state": "finalized"}, "node", WARN, "finalized: restart the node"),
    "disabled": ({"enabled": False}, "node", WARN, "disabled by service"),
    "a fault at start": ({"startup_fault": "no engine"}, "node", ERROR, "no engine"),
    "a publisher that does not fit": ({"misfits": ["/l: QoS"], "missing": ["/r"]}, "input", ERROR, "/l: QoS"),
    "no publisher": ({"missing": ["/r has no publisher"]}, "input", ERROR, "/r has no publisher"),
    "a silent camera": (
        {"streams": {"l": stream(60), "r": stream(0)}, "counts": PairingCounts(unpaired=[60, 0])},
        "input",
        ERROR,
        "no image on r",
    ),
    "skew": (
        {"counts": PairingCounts(unpaired=[30, 30], nearest_miss=NearestMiss(8_000_000))},
        "input",
        ERROR,
        "no pairs: the nearest stamps differ by 8.0 ms, sync.tolerance_ms is 5",
    ),
    "drops": ({"counts": PairingCounts(paired=60, dropped=7, unpaired=[1, 0])}, "input", WARN, "7 pairs dropped"),
    "drops before decoding": (
        {"counts": PairingCounts(paired=60, dropped=7, undecoded=4)},
        "input",
        WARN,
        "4 pairs dropped undecoded",
    ),
    "single images lost": ({"counts": PairingCounts(paired=60, unpaired=[1, 0])}, "input", WARN, "1 images without"),
    "2D": ({"no_cones_reason": "no CameraInfo"}, "stereo", WARN, "2D only: no CameraInfo"),
    "no tf": ({"frame_reason": "no chain"}, "stereo", WARN, "no chain"),
    "3D": ({}, "stereo", OK, "cones are located"),
    "no loss": ({}, "transport", OK, "images arrive as they are sent"),
}


@pytest.mark.parametrize("case", LEVELS)
def test_each_state_has_its_level_and_says_what_to_do(case):
    changes, part, level, text = LEVELS[case]
    status = report(snapshot(**changes))[part]
    assert (status.level, status.message[: len(text)]) == (level, text)


def test_the_nearest_stamps_are_those_of_the_last_second():
    counts, miss = PairingCounts(unpaired=[30, 30]), NearestMiss(6_000_000)
    before = snapshot(counts=replace(counts, nearest_miss=miss))
    reporter = Reporter(0.0)
    reporter.report(before, 1.0)
    miss.note(300_000_000)
    after = replace(before, counts=replace(counts, unpaired=[60, 60], nearest_miss=miss), streams={"l": stream(120)})
    (status,) = [s for s in reporter.report(after, 2.0) if s.name.endswith("input")]
    assert status.message.startswith("no pairs: the nearest stamps differ by 300.0 ms")


def statistics_of(frames=0, **faults):
    made = Statistics()
    made.frames = frames
    for kind, count in faults.items():
        for _ in range(count):
            made.add_fault(kind, "what went wrong")
    return made


STALLS = {
    "frames finish": ([(60, 60, 0), (120, 110, 0), (180, 170, 0)], OK),
    "none does, as when the inference thread hangs": ([(60, 60, 0), (120, 60, 0), (180, 60, 0)], ERROR),
    "none ever did": ([(60, 0, 0), (120, 0, 0)], ERROR),
    "all fail, which says more": ([(60, 0, 60), (120, 0, 120), (180, 0, 180)], ERROR),
    "no pair comes, which input says": ([(60, 60, 0), (60, 60, 0), (60, 60, 0)], OK),
    "a pair came just before the report": ([(60, 60, 0), (60, 60, 0), (61, 60, 0)], OK),
}


@pytest.mark.parametrize("case", STALLS)
def test_pairs_that_come_in_while_no_frame_finishes_are_an_error(case):
    seconds, level = STALLS[case]
    status = report(
        *(
            snapshot(counts=PairingCounts(paired=paired), statistics=statistics_of(frames, frame=failed))
            for paired, frames, failed in seconds
        )
    )["inference"]
    failed = seconds[-1][2]
    assert status.level == level
    assert status.message.startswith("no frame finished in 2 s") == (level == ERROR and not failed)


@pytest.mark.parametrize(
    ("faults", "level", "text"),
    [
        ({"frame": 2}, ERROR, "2 frames failed: what went wrong"),
        ({"annotation": 1}, WARN, "annotation: what went wrong"),
        ({"closing": 1}, WARN, "closing: what went wrong"),
        ({"frame": 2, "annotation": 3}, ERROR, "2 frames failed: what went wrong"),
    ],
)
def test_only_a_fault_of_a_frame_is_a_failed_frame(faults, level, text):
    status = report(snapshot(statistics=statistics_of(60, **faults)))["inference"]
    assert (status.level, status.message) == (level, text)
    for kind, count in faults.items():
        assert values_of(status)[f"faults {kind}"] == str(count)


@pytest.mark.parametrize(
    ("kind", "part", "level"),
    [("image left", "input", ERROR), ("frame", "inference", ERROR), ("annotation", "inference", WARN)],
)
def test_a_fault_is_news_in_the_second_in_which_it_came(kind, part, level):
    statistics = Statistics()
    statistics.add_fault(kind, "what went wrong")
    reporter = Reporter(0.0)
    levels = []
    for second in (1.0, 2.0):
        now = snapshot(statistics=statistics, streams={"l": stream(60 * int(second))})
        (status,) = [s for s in reporter.report(now, second) if s.name.endswith(part)]
        levels.append(status.level)
        assert values_of(status)[f"last fault {kind}"] == "what went wrong"
    assert levels == [level, OK]


@pytest.mark.parametrize(
    ("environment", "who"),
    [({}, "start the camera driver and this node with"), ({"profile": "p.xml"}, "start the camera driver with")],
)
def test_loss_names_the_profile_and_who_lacks_it(monkeypatch, environment, who):
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    if environment:
        monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", environment["profile"])
    lossy = StreamWatch()
    for n in range(100):
        if n % 3:
            lossy.note(n * PERIOD, 2_764_800)
    status = report(snapshot(streams={"l": lossy}))["transport"]
    assert status.level == WARN
    assert status.message.startswith("33 % of the images sent do not arrive")
    assert f"{who} FASTRTPS_DEFAULT_PROFILES_FILE=config/fastdds_shm.xml" in status.message


def test_without_a_configured_node_there_is_its_state_alone():
    assert list(report(Snapshot("unconfigured", "", Statistics()))) == ["node"]
