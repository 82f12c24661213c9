# SPDX-License-Identifier: AGPL-3.0-only
"""The tuner: accuracy by the car's own detector, cost by the machine's figures, and a choice that follows from both."""

import argparse
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from pictures import write_yolo
from resolution import ResolutionEngine, approach

from cone_detector.settings import SettingError, Settings
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.guard import SplitGuard, TestLeakError, register
from offline_tools.datasets.prepare import Source
from offline_tools.ledger import LedgerError, read_ledger
from offline_tools.policies import command
from offline_tools.policies.candidates import candidates
from offline_tools.policies.command import camera_rate
from offline_tools.policies.costs import CostError, Costs, measure, read
from offline_tools.policies.final import look, write
from offline_tools.policies.judge import Judge
from offline_tools.policies.paced import run_paced
from offline_tools.policies.plot import plot
from offline_tools.policies.report import to_record, write_json, write_parameters, write_table
from offline_tools.policies.sequences import read_sequences
from offline_tools.policies.store import RowStore
from offline_tools.policies.sweep import Limits, SweepError, judge_all, sweep

BY_PIXELS = Costs("a CPU", {"320": 2.5, "640": 10.0, "band": 2.5, "zoom": 6.7})
LAUNCH_BOUND = Costs("a GPU", {"320": 0.8, "640": 1.0, "band": 0.8, "zoom": 0.9})
# As `cone-tools projection` writes them: a canvas takes 0.25 ms to upload, a band brings its own pixels.
PROJECTED = {
    "gpu": "an RTX", "measured_on": "an H200", "error_pct": 12.0,
    "passes": [
        {"model": "m", "precision": "int8", "canvas": name, "first_ms": first, "second_ms": second}
        for name, first, second in (("320", 0.75, 0.5), ("640", 1.25, 1.0), ("band", 0.5, 0.5))
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes():
    judge = Judge(RowStore(ResolutionEngine()), approach())
    return judge_all(judge, candidates(ResolutionEngine().manifests))


def outcome(outcomes, name):
    return next(found for candidate, found in outcomes if candidate.name == name)


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("fixed 320", 1.0, 0.0),  # two near cones; 320 sees none under 16 px
        ("fixed 640", 1.0, 2 / 3),
        ("band, always", 1.0, 2 / 3),
        ("zoom, always", 1.0, 1.0),  # finer than 640: the farthest too
    ],
)
def test_recall_is_counted_apart_for_near_and_far_cones(outcomes, name, near, far):
    found = outcome(outcomes, name)
    assert (found.recall_near, found.recall_far) == (near, pytest.approx(far))
    assert found.precision == 1.0


def test_a_band_wins_where_passes_cost_by_their_pixels(outcomes):
    found = sweep(outcomes, BY_PIXELS, Limits())
    assert found.chosen.candidate.changes["policy.name"] == "band"
    assert found.chosen.cost_ratio <= 0.5
    assert found.chosen.map50_loss_pt <= 0.5
    assert "0.5" in found.reason
    assert found.costs.break_even == 0.75


def test_at_the_cost_of_640_a_zoom_finds_more_far_cones(outcomes):
    best = sweep(outcomes, BY_PIXELS, Limits()).equal_cost
    assert best.candidate.changes["policy.name"] == "zoom"
    assert best.cost_ratio <= 1.0
    assert best.far_recall_loss_pt == pytest.approx(-100 / 3)


def test_where_two_passes_cost_more_than_640_a_fixed_policy_is_chosen_and_it_says_so(outcomes):
    found = sweep(outcomes, LAUNCH_BOUND, Limits())
    assert found.chosen.candidate.changes["policy.name"] == "fixed_640"
    assert "cannot win on this machine" in found.reason


@pytest.mark.parametrize(("budget_ms", "passes"), [(1.75, ("320", "zoom")), (1.0, ("640",)), (0.9, ("320",))])
def test_what_finds_most_in_a_given_time_is_chosen_whatever_640_costs(outcomes, budget_ms, passes):
    """320 takes 0.8 ms, 640 1.0 ms, a zoom 0.9 ms more, with which 320 finds all that 640 finds with it."""
    found = sweep(outcomes, LAUNCH_BOUND, Limits(budget_ms=budget_ms))
    assert max(found.chosen.outcome.passes, key=len) == passes
    assert found.chosen.p99_ms <= budget_ms
    assert f"the most that {budget_ms:g} ms a pair buy" in found.reason


@pytest.mark.parametrize(
    ("budget_ms", "said"), [(2.0, "within it even with the 12 %"), (1.8, "may take longer by the 12 %")]
)
def test_of_a_budget_and_simulated_costs_it_says_whether_their_error_could_break_it(outcomes, budget_ms, said):
    costs = replace(LAUNCH_BOUND, simulated=True, error_pct=12.0)
    found = sweep(outcomes, costs, Limits(budget_ms=budget_ms))
    assert found.chosen.p99_ms == pytest.approx(1.7)
    assert said in found.reason


@pytest.mark.parametrize("options", [["--budget-ms", "-1"], ["--budget-ms", "3", "--costs", "rtx.json"]])
def test_a_budget_is_of_one_machine(options, capsys):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(options)) == 1
    assert "--budget-ms is of one machine" in capsys.readouterr().out


def test_a_time_that_no_policy_keeps_to_is_refused_with_the_fastest(outcomes):
    with pytest.raises(SweepError, match=r"no policy takes 0\.5 ms or less on a GPU: the fastest takes 0\.80"):
        sweep(outcomes, LAUNCH_BOUND, Limits(budget_ms=0.5))


@pytest.mark.parametrize(
    ("costs", "error_pct", "policy", "said"),
    [
        (LAUNCH_BOUND, 12.0, "fixed_640", "the same at either end of the 12 %"),
        (LAUNCH_BOUND, 60.0, "fixed_640", "not certain"),  # 640 at 1.6, a band at 0.3
        (BY_PIXELS, 12.0, "band", "the same at either end of the 12 %"),
        (BY_PIXELS, 60.0, "band", "not certain"),
    ],
)
def test_of_simulated_costs_it_says_whether_their_error_could_turn_the_choice(outcomes, costs, error_pct, policy, said):
    found = sweep(outcomes, replace(costs, simulated=True, error_pct=error_pct), Limits())
    assert found.chosen.candidate.changes["policy.name"] == policy
    assert said in found.reason
    assert said not in sweep(outcomes, costs, Limits()).reason


def test_a_second_pass_over_the_canvas_does_not_upload_it_again():
    costs = Costs("a GPU", {"320": 0.75, "640": 1.25, "band": 0.5}, second_ms={"320": 0.5, "640": 1.0})
    passes = [("320",), ("640",), ("320", "640"), ("320", "band"), ("band",)]
    assert costs.per_frame(passes).tolist() == [0.75, 1.25, 1.75, 1.25, 0.5]
    # At this share the cascade costs what 640 does: 0.75 + 0.5 x 1.0.
    assert costs.break_even == 0.5


def test_the_front_holds_what_nothing_beats_in_both(outcomes):
    found = sweep(outcomes, BY_PIXELS, Limits())
    front = found.front(lambda one: one.far_recall_loss_pt)
    assert front[0].candidate.changes["policy.name"] in ("fixed_320", "cascade", "band", "zoom", "predictive")
    for one in found.tried:
        beaten = [f for f in front if f.cost_ratio <= one.cost_ratio and f.far_recall_loss_pt <= one.far_recall_loss_pt]
        assert beaten


def test_a_pass_the_machine_has_no_time_for_is_left_out(outcomes):
    without = Costs("b", {"320": 2.5, "640": 10.0, "band": 2.5})
    assert not [one for one in sweep(outcomes, without, Limits()).tried if "zoom" in one.candidate.name]


def test_engines_that_find_nothing_are_not_tuned(outcomes):
    judge = Judge(RowStore(ResolutionEngine()), approach())
    blind = [(candidate, judge.judge({**candidate.changes, "confidence": 1.0})) for candidate, _ in outcomes[:2]]
    with pytest.raises(SweepError, match="finds no cone"):
        sweep(blind, BY_PIXELS, Limits())


def test_each_pass_looks_at_each_frame_and_strip_once(tmp_path):
    engine, labelled = ResolutionEngine(), approach(4)
    judge = Judge(store := RowStore(engine, tmp_path / "rows.npz"), labelled)
    always = {"policy.name": "band", "policy.band_on_evidence": False}
    first = judge.judge(always)
    looks = len(engine.passes)
    assert looks == 8
    assert judge.judge(always) == first
    assert judge.judge({"policy.name": "fixed_320"}).map50 > 0
    assert len(engine.passes) == looks
    store.save()
    fresh = ResolutionEngine()
    again = Judge(RowStore(fresh, tmp_path / "rows.npz"), labelled).judge(always)
    assert again == first
    assert fresh.passes == []


def test_what_is_written_holds_the_kept_figures_and_loads_as_parameters(outcomes, tmp_path):
    found = sweep(outcomes, BY_PIXELS, Limits())
    paced = run_paced(ResolutionEngine(), approach(2), {"policy.name": "band"}, rate_hz=30.0, seconds=0.3)
    assert 0 <= paced.misses <= paced.late <= paced.frames
    write_json(tmp_path / "adaptive.json", to_record(found, approach(), {"name": "m"}, Limits(), paced))
    record = json.loads((tmp_path / "adaptive.json").read_text())
    figures = {"cost_ratio", "map50_loss_pt", "far_recall_loss_pt", "escalation_rate"}
    assert figures | {"deadline_misses", "cascade", "equal_cost_far_recall_gain_pt"} <= record.keys()
    assert figures <= record["cascade"].keys()
    assert [one["machine"] for one in record["machines"]] == ["a CPU"]
    assert record["simulated"] is False
    parameters = yaml.safe_load(write_parameters(tmp_path, found).read_text())["/**"]["ros__parameters"]
    assert Settings(parameters)["policy.name"] == "band"
    write_table(tmp_path / "table.md", found)
    table = (tmp_path / "table.md").read_text()
    assert table.count("| fixed 640 | 1.00 x") == 1
    assert "measured" in table
    assert "simulated" not in table
    plot(tmp_path / "plot.png", found)
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_what_is_written_of_simulated_costs_says_so_everywhere(outcomes, tmp_path):
    (tmp_path / "rtx.json").write_text(json.dumps(PROJECTED))
    found = sweep(outcomes, read(tmp_path / "rtx.json", "m", "int8"), Limits())
    record = to_record(found, approach(), {"name": "m"}, Limits(), None)
    (machine,) = record["machines"]
    assert record["simulated"] is True
    assert (machine["machine"], machine["error_pct"]) == ("an RTX, simulated", 12.0)
    assert (machine["pass_ms"]["640"], machine["second_pass_ms"]["640"]) == (1.25, 1.0)
    write_table(tmp_path / "table.md", found)
    title, columns = (
        next(line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith(start))
        for start in ("# ", "| policy")
    )
    assert title.endswith("simulated, within 12 %")
    assert columns.count("(simulated)") == 2
    parameters = write_parameters(tmp_path, found)
    assert parameters.name == "an-rtx-simulated.yaml"
    assert "an RTX, simulated" in parameters.read_text().splitlines()[0]


def test_another_machines_costs_leave_this_ones_files_alone(tmp_path, monkeypatch):
    (tmp_path / "rtx.json").write_text(json.dumps(PROJECTED))
    candidate = SimpleNamespace(model="m", precision="int8", runtime="none", paths=())
    choice = SimpleNamespace(candidate=candidate, reason="a test")
    monkeypatch.setattr(command, "_choose", lambda args: choice)
    monkeypatch.setattr(command, "load", lambda choice, slots: ResolutionEngine())
    monkeypatch.setattr(command, "read_sequences", lambda *args: approach(3))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    (tmp_path / "docs").mkdir()
    written = ["--docs", str(tmp_path / "docs"), "--parameters", str(tmp_path / "parameters")]
    assert command.run(parser.parse_args(["--only-costs", *written])) == 1
    assert command.run(parser.parse_args(["--only-costs", "--costs", str(tmp_path / "rtx.json"), *written])) == 0
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*simulated*")}
    assert files == {
        "docs/adaptive_an-rtx-simulated.md",
        "docs/adaptive_an-rtx-simulated.png",
        "docs/benchmarks/adaptive_an-rtx-simulated.json",
        "parameters/an-rtx-simulated.yaml",
    }
    assert not [*tmp_path.rglob("adaptive.json"), *tmp_path.rglob("adaptive_results.md")]


def test_costs_are_measured_for_every_pass():
    engine = ResolutionEngine()
    costs = measure(engine, 2)
    assert set(costs.ms) == set(engine.manifests)
    assert costs.second_ms == {}


def test_a_pass_that_uploads_is_timed_without_its_upload_too():
    engine = ResolutionEngine()
    engine.times.upload_ms = 0.1
    costs = measure(engine, 2)
    assert set(costs.second_ms) == set(engine.manifests) - set(engine.close_ups)


def test_costs_come_from_a_benchmark_and_a_missing_band_is_taken_as_320(tmp_path):
    file = tmp_path / "gpu.json"
    plans = [
        {"model": "m", "precision": precision, "canvas": name, "host_rows_ms_p50": ms, "gpu_upload_ms_p50": 0.125}
        for precision, name, ms in (("int8", "320", 0.5), ("int8", "640", 0.9), ("fp16", "640", 1.4))
    ]
    file.write_text(json.dumps({"machine": {"gpu": "a GPU"}, "engines": plans}))
    costs = read(file, "m", "int8")
    assert costs.ms == {"320": 0.5, "640": 0.9, "band": 0.5}
    assert costs.second_ms == {"320": 0.375, "640": 0.9 - 0.125}
    assert "taken as 320" in costs.taken
    with pytest.raises(CostError, match="no time of m fp16 for 320"):
        read(file, "m", "fp16")
    with pytest.raises(CostError, match="holds no costs"):
        read(tmp_path / "none.json", "m", "int8")


def test_costs_come_from_a_projection(tmp_path):
    file = tmp_path / "rtx.json"
    file.write_text(json.dumps(PROJECTED))
    costs = read(file, "m", "int8")
    assert costs.ms == {"320": 0.75, "640": 1.25, "band": 0.5}
    assert costs.second_ms == {"320": 0.5, "640": 1.0, "band": 0.5}
    assert costs.simulated
    assert "from times on an H200, within 12 %" in costs.taken
    with pytest.raises(CostError, match="no time of m fp16"):
        read(file, "m", "fp16")


def test_sequences_are_val_clips_in_order_and_never_test(tmp_path):
    root = write_yolo(tmp_path / "data", {"train": [1], "val": [5, 3, 4], "test": [9]})
    registry = tmp_path / "registry.json"
    register(read_dataset(root).splits["test"], registry)
    guard = SplitGuard.load(registry)
    labelled = read_sequences([Source(root)], [], guard)
    (sequence,) = labelled.sequences
    assert [pair.truth[0].label.tolist() for pair in sequence.pairs] == [[0]] * 3
    first, again = sequence.pairs[0].read()
    assert first is again
    assert first.size == sequence.pairs[0].size
    (root / "images" / "val" / "clip_0006.png").write_bytes((root / "images" / "test" / "clip_0009.png").read_bytes())
    with pytest.raises(TestLeakError):
        read_sequences([Source(root)], [], guard)
    (sequence,) = read_sequences([Source(root)], [], guard, final=True).sequences
    assert len(sequence.pairs) == 1


ALWAYS_BOTH = {"policy.name": "zoom", "policy.strip_after_640": True, "policy.band_on_evidence": False}


def test_a_policy_sees_the_test_split_once(tmp_path):
    ledger, model = tmp_path / "ledger.json", {"name": "m", "precision": "int8", "runtime": "r", "sha256": "1"}
    judge = Judge(RowStore(ResolutionEngine()), labelled := approach(4))

    def take(changes, sha256="1", force=False):
        return look(judge, labelled, Settings(changes), {**model, "sha256": sha256}, force, ledger)

    found = take(ALWAYS_BOTH)
    assert found["passes"] == ["640", "zoom"]
    assert found["map50"] == round(judge.judge(ALWAYS_BOTH).map50, 4)
    (entry,) = read_ledger(ledger)
    assert (entry.map50, entry.data_sha256, entry.forced) == (found["map50"], labelled.sha256, False)
    with pytest.raises(LedgerError, match="was evaluated on this test split"):
        take(ALWAYS_BOTH)
    with pytest.raises(SettingError, match="nms_iou: the final look takes other settings of policy"):
        take({"nms_iou": 0.7})
    file = tmp_path / "policy_test.json"
    write(file, found)
    for again in (take(ALWAYS_BOTH, force=True), take(ALWAYS_BOTH, "2"), take({"policy.name": "band"})):
        write(file, again)
    kept = json.loads(file.read_text())["policies"]
    assert [(one["forced"], one["model"]["sha256"]) for one in kept] == [(True, "1"), (False, "2"), (False, "1")]
    assert len(read_ledger(ledger)) == 4
    # A fixed policy is the same whatever the settings of others say.
    take({"policy.name": "fixed_640"})
    with pytest.raises(LedgerError):
        take({"policy.name": "fixed_640", "policy.size_limit_px": 11.0})


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_folder_that_is_no_stereo_sequence_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
        (tmp_path / "truth.json").write_text("[{}]")
    with pytest.raises(DatasetError, match="is no stereo sequence"):
        read_sequences([], [tmp_path], SplitGuard(frozenset(), np.empty((0, 32), np.uint8), []))


@pytest.mark.parametrize(
    ("two_passes_ms", "rate"), [(2.0, 60), (10.0, 60), (10.1, 30), (20.0, 30), (35.0, 15), (90.0, 15)]
)
def test_a_paced_run_takes_the_highest_camera_rate_that_leaves_room(two_passes_ms: float, rate: float) -> None:
    assert camera_rate(two_passes_ms) == rate
