# SPDX-License-Identifier: AGPL-3.0-only
"""A campaign repeats nothing that is done, notices what was damaged, and survives being killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from campaign_world.running import STEP, carry_out, phase, ran

from offline_tools.campaign.phase import CampaignError, External, When, ancestors, in_order
from offline_tools.campaign.records import read_record
from offline_tools.campaign.runner import State
from offline_tools.campaign.slots import Slots

CHAIN = [phase("a"), phase("b", "a"), phase("c", "b"), phase("side")]


@pytest.fixture(autouse=True, scope="module")
def steps_can_be_imported():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield


@pytest.fixture(scope="module")
def finished(steps_can_be_imported, tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    assert set(carry_out(root, CHAIN).values()) == {State.DONE}
    assert sorted(ran(root)) == ["a", "b", "c", "side"]
    return root


@pytest.fixture
def done(finished, tmp_path):
    """The folder of a finished campaign of `CHAIN`."""
    return shutil.copytree(finished, tmp_path / "campaign")


def out(root, name):
    return root / "phases" / name / "out.txt"


def test_a_record_says_what_went_in_and_what_came_out(done):
    record = read_record(done / "phases" / "b")
    assert (record.status, record.attempts, record.device) == ("done", 1, "cpu")
    assert record.inputs["from:a"]["paths"] == ["phases/a/out.txt"]
    assert set(record.outputs) == {"out.txt", "figures.json"}
    assert record.machine["cpu"]
    assert "python" in record.versions


def test_what_has_not_changed_is_not_repeated(done):
    assert set(carry_out(done, CHAIN).values()) == {State.FRESH}
    assert ran(done) == []


def test_a_moved_folder_goes_on(done, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "campaign"
    done.rename(other)
    assert set(carry_out(other, CHAIN).values()) == {State.FRESH}


@pytest.mark.parametrize("damage", [lambda path: path.write_text("x"), Path.unlink], ids=["changed", "missing"])
def test_a_damaged_intermediate_is_made_again_and_what_follows_is_kept(done, damage):
    damage(out(done, "a"))
    states = carry_out(done, CHAIN)
    assert ran(done) == ["a"]
    assert out(done, "a").read_text() == "a"
    assert states["b"] is State.FRESH, "what came out is the same as before"


def test_a_damaged_record_is_made_again(done):
    (done / "phases" / "b" / "phase.json").write_text("{")
    carry_out(done, CHAIN)
    assert ran(done) == ["b"]


def test_a_changed_setting_runs_the_phase_and_what_its_result_changes(done):
    carry_out(done, [CHAIN[0], phase("b", "a", text="B"), *CHAIN[2:]])
    assert ran(done) == ["b", "c"]
    assert out(done, "c").read_text() == "aBc"
    (aside,) = (done / "replaced").glob("b-*")
    assert (aside / "out.txt").read_text() == "ab", "what took hours is not lost to a changed line"


def test_a_newer_step_runs_again(done, monkeypatch):
    monkeypatch.setattr(f"{STEP}.VERSION", 2)
    carry_out(done, CHAIN[:1])
    assert ran(done) == ["a"]


def test_force_runs_what_has_not_changed(done):
    carry_out(done, CHAIN, forced=frozenset({"b"}))
    assert ran(done) == ["b"]


def test_data_from_outside_counts_by_content_and_results_outlive_it(tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("1")
    phases = [phase("a", external={"data": External(data, "file")})]
    carry_out(tmp_path, phases)
    moved = replace(phases[0], external={"data": External(data.rename(tmp_path / "moved.txt"), "file")})
    assert carry_out(tmp_path, [moved])["a"] is State.FRESH
    (tmp_path / "moved.txt").unlink()
    assert carry_out(tmp_path, [moved])["a"] is State.FRESH
    assert carry_out(tmp_path, [replace(moved, settings={"text": "new"})])["a"] is State.FAILED
    assert read_record(tmp_path / "phases" / "a").status == "done", "what cannot be made anew stays"


def test_a_failure_stops_only_what_depends_on_it(tmp_path):
    phases = [phase("a", fail="no more memory"), phase("b", "a"), phase("c", "b"), phase("side")]
    states = carry_out(tmp_path, phases)
    assert list(states.values()) == [State.FAILED, State.BLOCKED, State.BLOCKED, State.DONE]
    record = read_record(tmp_path / "phases" / "a")
    assert record.status == "failed"
    assert record.error.endswith("RuntimeError: no more memory")
    assert carry_out(tmp_path, [phase("a"), *phases[1:]])["c"] is State.DONE


def test_outputs_that_never_came_are_a_failure(tmp_path):
    wanting = replace(phase("a"), outputs=("out.txt", "weights.pt"))
    assert carry_out(tmp_path, [wanting])["a"] is State.FAILED
    assert "left no weights.pt" in read_record(tmp_path / "phases" / "a").error


@pytest.mark.parametrize(
    ("decision", "expected"),
    [("A", ["gate", "of_a", "end"]), ("B", ["gate", "of_b", "end"]), ("both", ["gate", "of_a", "of_b", "end"])],
)
def test_a_gate_leaves_out_the_other_branch_and_what_collects_goes_on(tmp_path, decision, expected):
    phases = [
        phase("gate", decision=decision),
        phase("of_a", when=When("gate", ("A", "both"))),
        phase("of_b", when=When("gate", ("B", "both"))),
        phase("after_a", "of_a"),
        phase("end", "of_a", "of_b", collects=True),
    ]
    states = carry_out(tmp_path, phases)
    names = ran(tmp_path)
    assert [name for name in names if name != "after_a"] == expected
    assert (states["after_a"] is State.DONE) == ("of_a" in expected)
    assert set(carry_out(tmp_path, phases).values()) <= {State.FRESH, State.NOT_TAKEN}


def test_only_selected_phases_run_and_the_others_must_be_there(tmp_path):
    states = carry_out(tmp_path, CHAIN, selected=frozenset({"a", "c"}))
    assert [states[name] for name in ("a", "b", "c")] == [State.DONE, State.UNSELECTED, State.BLOCKED]
    states = carry_out(tmp_path, CHAIN, selected=frozenset({"b"}))
    assert [states[name] for name in ("a", "b", "c")] == [State.FRESH, State.DONE, State.UNSELECTED]


def test_what_is_left_out_is_left_out_for_good(tmp_path):
    phases = [phase("a"), phase("b"), phase("end", "a", "b", collects=True)]
    states = carry_out(tmp_path, phases, left_out=frozenset({"b"}))
    assert states["b"] is State.NOT_TAKEN
    assert out(tmp_path, "end").read_text() == "aend"


def test_phases_run_side_by_side_on_all_devices(tmp_path):
    """Each waits until all three have started."""
    phases = [
        phase(name, device=True, wait_for=f"{other}.started") for name, other in (("p", "q"), ("q", "r"), ("r", "p"))
    ]
    slots = Slots(["0", "1"], jobs_per_device=2)
    assert set(carry_out(tmp_path, phases, slots).values()) == {State.DONE}
    devices = [read_record(tmp_path / "phases" / name).device for name in "pqr"]
    assert devices == ["0", "1", "0"]


def test_slots_are_as_many_as_they_are():
    slots = Slots(["0"], jobs_per_device=1, cpu_jobs=1)
    assert slots.take(phase("a", device=True)) == "0"
    assert slots.take(phase("b", device=True)) is None
    assert slots.take(phase("c")) == "cpu"
    assert slots.take(phase("timed", alone=True)) is None
    slots.free("a")
    slots.free("c")
    assert slots.take(phase("timed", alone=True)) == "cpu"
    assert slots.take(phase("b", device=True)) is None, "nothing runs beside what is timed"


def test_a_killed_campaign_goes_on_and_leaves_no_process_behind(tmp_path):
    command = [sys.executable, "-m", "campaign_world.running", str(tmp_path)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parent)])}
    campaign = subprocess.Popen(command, env=environment)
    child = _pid(tmp_path / "second.started")
    campaign.send_signal(signal.SIGKILL)
    campaign.wait()
    _wait_until_gone(child)
    assert read_record(tmp_path / "phases" / "second").status == "running"
    assert ran(tmp_path) == ["first", "second"]
    (tmp_path / "go").touch()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"first": "unchanged", "second": "done"}
    assert ran(tmp_path) == ["second"]
    assert read_record(tmp_path / "phases" / "second").attempts == 2
    kept = (tmp_path / "phases" / "second" / "attempts.txt").read_text().split()
    assert len(kept) == 2, "what the killed attempt left is there to go on with"


def _pid(path):
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, "the phase never started"
        time.sleep(0.02)
    return int(path.read_text())


def _wait_until_gone(pid):
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < end, "the phase outlived its campaign"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("phases", "says"),
    [
        ([phase("a"), phase("a")], "of the same name"),
        ([phase("a", "z")], "needs z, which the campaign does not have"),
        ([phase("a", "b"), phase("b", "a")], "need each other: a -> b -> a"),
    ],
)
def test_a_graph_that_cannot_be_walked_is_refused(phases, says):
    with pytest.raises(CampaignError, match=says):
        in_order(phases)


def test_phases_are_put_behind_what_they_need_and_else_kept_in_order():
    phases = in_order([phase("c", "b"), phase("x"), phase("b", "a"), phase("a")])
    assert [one.name for one in phases] == ["a", "b", "c", "x"]
    assert ancestors(phases, ["b"]) == {"a", "b"}
