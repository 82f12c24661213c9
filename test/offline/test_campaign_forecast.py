# SPDX-License-Identifier: AGPL-3.0-only
"""Times of earlier phases become the time that is left, on the same machine only."""

import json
from dataclasses import asdict, replace

import pytest
from campaign_world.running import phase

from offline_tools.campaign.dry_run import foresee, to_text
from offline_tools.campaign.forecast import clock, time_left
from offline_tools.campaign.history import Clocked, expected_seconds, machine_name, recall, remember
from offline_tools.campaign.phase import Phase
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.surroundings import surroundings

TEACHER, STUDENT, DIRECT = (
    phase("teacher", device=True),
    phase("student", "teacher", device=True),
    phase("direct", device=True),
)
SECONDS = {"teacher": 60.0, "student": 100.0, "direct": 90.0}


@pytest.mark.parametrize(
    ("devices", "jobs", "expected"),
    [(["0"], 1, 60 + 100 + 90), (["0", "1"], 1, 60 + 100), (["0"], 2, 60 + 100)],
)
def test_time_left_follows_what_can_run_side_by_side(devices, jobs, expected):
    assert time_left([TEACHER, STUDENT, DIRECT], SECONDS, Slots(devices, jobs)) == expected


def test_what_runs_needs_only_the_rest():
    left = time_left([TEACHER, STUDENT, DIRECT], SECONDS, Slots(["0", "1"]), {"teacher": 5.0, "direct": 200.0})
    assert left == 200.0


def test_what_is_timed_runs_alone():
    timed = phase("timed", alone=True)
    assert time_left([TEACHER, timed], {**SECONDS, "timed": 7.0}, Slots(["0"])) == 67.0


@pytest.fixture
def clocked():
    here = machine_name(surroundings()[0])
    return Clocked("train-direct-s0", "train", "yolo11n.yaml", 50, 500.0, here)


def training(name, model="yolo11n.yaml", epochs=10):
    return Phase(name, "train", {"model": model, "epochs": epochs})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (training("train-direct-s0"), 100.0),
        (training("train-direct-s1", epochs=20), 200.0),
        (training("train-teacher-s0", "yolo11m.yaml"), 400.0),
        (training("train-other-s0", "yolo12n.yaml"), 250.0),
        (phase("export"), None),
    ],
    ids=["itself", "its model", "another known model", "trainings at large", "never timed"],
)
def test_a_phase_takes_as_long_as_it_or_its_like_took(clocked, one, expected):
    teacher = replace(clocked, phase="train-teacher-s1", model="yolo11m.yaml", seconds=2000.0)
    assert expected_seconds(one, [clocked, teacher]) == expected


def test_times_of_another_machine_say_nothing(clocked):
    assert expected_seconds(training("train-direct-s0"), [replace(clocked, machine="a faster one")]) is None


def test_a_history_that_a_kill_cut_off_is_read_to_there(clocked, tmp_path):
    remember(tmp_path, clocked)
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(json.dumps(asdict(clocked))[:20])
    assert recall(tmp_path) == [clocked]


def test_a_dry_run_adds_the_times_up(clocked, tmp_path):
    remember(tmp_path, replace(clocked, phase="a", step="campaign_world.steps", model="", size=1, seconds=30.0))
    phases = [phase("a"), phase("b", "a")]
    names = frozenset(one.name for one in phases)
    text = to_text(foresee(phases, tmp_path, names, frozenset(), frozenset()), Slots())
    assert text.splitlines() == [
        "run     a  never ran  [30 s]",
        "perhaps b  after a  [30 s]",
        "2 of 2 phases to run: about 60 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert clock(seconds) == text
