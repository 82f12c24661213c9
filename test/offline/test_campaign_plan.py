# SPDX-License-Identifier: AGPL-3.0-only
"""A campaign's configuration becomes the phases that the plan asks for, and a wrong one is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from offline_tools.campaign import hashing
from offline_tools.campaign.config import read_campaign
from offline_tools.campaign.dry_run import foresee, to_text
from offline_tools.campaign.freshness import json_round, judge
from offline_tools.campaign.phase import CampaignError, When, step_module
from offline_tools.campaign.plan import make_plan
from offline_tools.campaign.records import Record, write_record
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.steps.train import epochs_done
from offline_tools.train_config import read_config

ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "small",
    "folder": "small",
    "dataset": {"scenes": {"train": 4, "val": 2, "test": 2}},
    "train": str(ROOT / "config/train/sample.yaml"),
    "epochs": 10,
    "variants": [
        {"name": "twelve", "branch": "A", "model": "yolo12n.yaml"},
        {"name": "teacher", "branch": "teacher", "model": "yolo11m.yaml", "int8": False},
        {
            "name": "student",
            "branch": "B",
            "model": "yolo11n.yaml",
            "seeds": [0, 1],
            "technique": {"kind": "distill", "teacher": "@teacher"},
        },
        {"name": "cut", "branch": "B", "model": "yolo11n.yaml", "technique": {"kind": "prune", "weights": "@student"}},
    ],
}


def planned(tmp_path, **changes):
    path = tmp_path / "campaign.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return {phase.name: phase for phase in make_plan(read_campaign(path))}


@pytest.fixture
def in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", ["h200", "sample", "two_branches"])
def test_shipped_configurations_make_plans(name, in_the_root):
    phases = make_plan(read_campaign(Path(f"config/campaign/{name}.yaml")))
    assert [phase.name for phase in phases][-3:] == ["choose", "final-test", "report"]
    assert all(step_module(phase).VERSION >= 1 for phase in phases)


def test_the_teacher_starts_first_and_students_wait_for_nothing_else(in_the_root):
    phases = make_plan(read_campaign(Path("config/campaign/h200.yaml")))
    assert phases[0].name == "train-teacher-s0"
    needs = {phase.name: phase.needs for phase in phases}
    assert all(needs[f"train-distilled-s{seed}"] == ("train-teacher-s0",) for seed in (0, 1, 2))
    assert all(needs[f"train-direct-s{seed}"] == () for seed in (0, 1, 2))
    by_name = {phase.name: phase.settings for phase in phases}
    direct, distilled = by_name["train-direct-s1"], by_name["train-distilled-s1"]
    assert {**distilled, "technique": None} == direct, "they differ by the technique alone"


@pytest.mark.parametrize(
    ("train_both", "of_b", "int8_of_a"),
    [(False, When("gate", ("both", "B")), When("gate", ("A", "both"))), (True, None, None)],
)
def test_branch_b_waits_for_the_gate_unless_both_are_asked_for(tmp_path, train_both, of_b, int8_of_a):
    plan = planned(tmp_path, gate={"train_both": train_both})
    assert {plan[f"train-{name}"].when for name in ("teacher-s0", "student-s1", "cut-s0")} == {of_b}
    assert plan["int8-twelve"].when == int8_of_a
    assert {plan[name].when for name in ("train-twelve-s0", "evaluate-twelve-s0", "choose")} == {None}


def test_without_branch_a_there_is_no_gate(tmp_path):
    plan = planned(tmp_path, variants=CONFIG["variants"][1:])
    assert "gate" not in plan
    assert plan["train-student-s0"].when is None


def test_weights_of_other_variants_are_inputs_of_the_same_seed_where_there_is_one(tmp_path):
    more = [*CONFIG["variants"][:3], {**CONFIG["variants"][3], "seeds": [1, 2]}]
    plan = planned(tmp_path, variants=more)
    weights = "640/weights/best.pt"
    assert plan["train-student-s1"].inputs["weights:teacher"] == f"train-teacher-s0/{weights}"
    assert plan["train-cut-s1"].inputs["weights:student"] == f"train-student-s1/{weights}"
    assert plan["train-cut-s2"].inputs["weights:student"] == f"train-student-s0/{weights}"


@pytest.mark.parametrize(
    "technique", [{"kind": "prune", "weights": "own.pt"}, {"kind": "distill", "teacher": "own.pt"}]
)
def test_weights_that_a_technique_names_count_by_their_content(tmp_path, monkeypatch, technique):
    monkeypatch.setattr(hashing, "_external_sha256", hashing._external_sha256.__wrapped__)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.pt").write_bytes(b"one")
    cut = planned(tmp_path, variants=[{**CONFIG["variants"][3], "technique": technique}])["train-cut-s0"]
    cut = replace(cut, inputs={})
    verdict = judge(cut, tmp_path)
    record = Record(cut.name, "train", 1, "running", verdict.key, json_round(cut.settings), verdict.inputs)
    write_record(tmp_path / "phases" / cut.name, record)
    assert judge(cut, tmp_path).resume
    (tmp_path / "own.pt").write_bytes(b"two")
    role = "technique:" + ("weights" if technique["kind"] == "prune" else "teacher")
    assert judge(cut, tmp_path).reason == f"input {role} changed"
    assert not judge(cut, tmp_path).resume, "what was trained from other weights is not gone on with"


def test_settings_of_the_campaign_win_over_the_training_configuration(tmp_path):
    variants = [{**CONFIG["variants"][0], "settings": {"lr0": 0.5}, "epochs": 20}]
    plan = planned(tmp_path, variants=variants, settings={"imgsz": 64, "lr0": 0.1})
    (stage,) = plan["train-twelve-s0"].settings["stages"]
    assert (stage["imgsz"], stage["lr0"], stage["epochs"]) == (64, 0.5, 20)
    base = read_config(ROOT / "config/train/sample.yaml")
    assert plan["train-twelve-s0"].settings["settings"] == {**base.settings, "seed": 0}


def test_how_data_is_loaded_makes_no_other_training(tmp_path):
    slow, fast = (planned(tmp_path, loader={"workers": count})["train-twelve-s0"] for count in (1, 8))
    assert slow.settings == fast.settings
    assert fast.labels["loader"] == {"workers": 8}


def test_each_pass_that_a_variant_is_trained_for_becomes_an_engine(tmp_path):
    train = tmp_path / "train.yaml"
    stages = [{"name": name, "imgsz": 64, "epochs": 1} for name in ("warm", "640", "320")]
    train.write_text(yaml.safe_dump({"stages": stages}))
    variants = [{**CONFIG["variants"][0], "stages": ["warm", "640", "320"]}]
    plan = planned(tmp_path, variants=variants, train=str(train))
    assert plan["export-twelve-640-s0"].inputs["weights"] == "train-twelve-s0/640/weights/best.pt"
    assert plan["export-twelve-s0"].inputs["weights"] == "train-twelve-s0/320/weights/best.pt"
    assert set(plan["choose"].settings["branch"]) == {"twelve", "twelve-640"}


def test_a_teacher_is_measured_and_never_chosen(tmp_path):
    plan = planned(tmp_path)
    assert "latency-teacher-fp32" in plan
    assert "int8-teacher" not in plan
    assert not any("teacher" in source for source in plan["choose"].inputs.values())


def test_the_gate_reads_validation_only_and_the_test_split_is_read_once(tmp_path):
    plan = planned(tmp_path)
    assert all(plan[name].settings["split"] == "val" for name in plan["gate"].needs)
    assert [phase.name for phase in plan.values() if phase.step == "final_test"] == ["final-test"]


def test_tensorrt_is_a_matter_of_configuration(tmp_path):
    plan = planned(tmp_path, runtimes=["openvino", "tensorrt"])
    assert plan["build-student"].device
    assert plan["latency-student-tensorrt"].alone
    assert "student-640-int8-qdq.onnx" in plan["int8-student"].outputs


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epoch": 3}, r"unknown keys \['epoch'\]"),
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"gate": {"above": 0.7}}, "below 0.8 and above 0.7"),
        ({"dataset": {}}, "`path` or `scenes`"),
        ({"dataset": {"scenes": {"train": 4}}}, "give train, val"),
        ({"devices": []}, "at least one"),
        ({"runtimes": ["cuda"]}, r"\['cuda'\]: use openvino, tensorrt"),
        ({"stages": ["320"]}, "no stage '320', only 640"),
        ({"stages": ["warm"]}, "last stage is 'warm', must be a pass"),
        ({"train": "nowhere.yaml"}, "nowhere.yaml cannot be read"),
        ({"variants": [{"name": "x", "branch": "C", "model": "m"}]}, "branch is 'C'"),
        ({"variants": [{"name": "x y", "branch": "A", "model": "m"}]}, "letters, digits"),
        ({"variants": [{"name": "x", "branch": "A", "model": "@later"}]}, "@later is none of the variants before it"),
        ({"variants": [{"name": "x", "branch": "A", "model": "m", "seeds": []}]}, "seeds are"),
        ({"variants": [{"name": "x", "branch": "A"}]}, r"missing keys \['model'\]"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path, changes, says):
    with pytest.raises(CampaignError, match=says):
        planned(tmp_path, **changes)


def foreseen(tmp_path, plan, left_out=frozenset(), selected=None):
    phases = list(plan.values())
    return foresee(phases, tmp_path, selected or frozenset(plan), left_out, frozenset())


def test_a_dry_run_says_what_would_run_and_why(tmp_path):
    plan = planned(tmp_path)
    forecasts = foreseen(tmp_path, plan)
    text = to_text(forecasts, Slots())
    lines = {line.split()[1]: line for line in text.splitlines()[:-1]}
    assert lines["scenes"].startswith("run")
    assert "never ran" in lines["scenes"]
    assert "after prepare, if gate decides both or B" in lines["train-teacher-s0"]
    assert text.splitlines()[-1] == f"{len(plan)} of {len(plan)} phases to run: no phase was timed on this machine yet"
    assert not (tmp_path / "phases").exists()


def test_a_dry_run_follows_what_is_left_out(tmp_path):
    plan = planned(tmp_path)
    runs = {one.phase.name: one.runs for one in foreseen(tmp_path, plan, frozenset({"train-student-s0"}))}
    assert runs["export-student-s0"] == "no"
    assert runs["pick-student"] == "perhaps", "of two seeds one is left"
    runs = {one.phase.name: one.runs for one in foreseen(tmp_path, plan, selected=frozenset({"scenes"}))}
    assert [name for name, what in runs.items() if what != "no"] == ["scenes"]


def test_epochs_of_a_killed_training_are_counted_once(tmp_path):
    (tmp_path / "640").mkdir()
    (tmp_path / "640" / "results.csv").write_text("epoch,metrics/mAP50-95(B)\n1,0.1\n2,0.2\n2,0.2\n")
    assert epochs_done(tmp_path, {"stages": [{"name": "640"}, {"name": "320"}], "epochs": 5}) == (2, 5)
