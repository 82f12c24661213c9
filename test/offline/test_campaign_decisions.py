# SPDX-License-Identifier: AGPL-3.0-only
"""The gate and the choice decide by recorded figures of the validation split, and by nothing else."""

import json

import pytest
from campaign_world.running import Silent

from offline_tools.campaign.phase import CampaignError, External, Phase
from offline_tools.campaign.records import read_record
from offline_tools.campaign.runner import Runner, State
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.steps.choose import choose, measured
from offline_tools.campaign.steps.gate import decide


def evaluation(map50, split="val"):
    return {"map50": map50, "split": split, "images": 116, "model_sha256": "m" * 64, "data_sha256": "d" * 64}


@pytest.mark.parametrize(
    ("recorded", "value", "variant", "decision"),
    [
        ({"yolo12n-s0": 0.86}, 0.86, "yolo12n", "A"),
        ({"yolo12n-s0": 0.7366}, 0.7366, "yolo12n", "B"),
        ({"yolo12n-s0": 0.81}, 0.81, "yolo12n", "both"),
        ({"yolo12n-s0": 0.82}, 0.82, "yolo12n", "both"),
        ({"yolo12n-s0": 0.80}, 0.80, "yolo12n", "both"),
        ({"yolo12n-s0": 0.79, "yolo26n-s0": 0.83}, 0.83, "yolo26n", "A"),
        ({"yolo12n-s0": 0.90, "yolo12n-s1": 0.70, "yolo26n-s0": 0.79}, 0.80, "yolo12n", "both"),
    ],
)
def test_the_gate_goes_three_ways(recorded, value, variant, decision):
    found = decide({name: evaluation(map50) for name, map50 in recorded.items()}, 0.82, 0.80)
    assert (found["value"], found["variant"], found["decision"]) == (value, variant, decision)
    assert [one["run"] for one in found["evidence"]] == list(recorded)
    assert all(one["split"] == "val" and one["data_sha256"] for one in found["evidence"])


def test_the_gate_takes_no_figure_of_the_test_split():
    with pytest.raises(CampaignError, match="split 'test': the gate takes val only"):
        decide({"yolo12n-s0": evaluation(0.9, "test")}, 0.82, 0.80)


@pytest.mark.parametrize(("map50", "decision"), [(0.86, "A"), (0.81, "both"), (0.74, "B")])
def test_the_gate_is_a_phase_with_a_record_and_decides_anew_by_another_figure(tmp_path, map50, decision):
    file = tmp_path / "evaluation.json"
    for figure in (0.5, map50):
        file.write_text(json.dumps(evaluation(figure)))
        # As in a new process, which reads the file anew.
        gate = Phase(
            "gate",
            "gate",
            {"above": 0.82, "below": 0.80},
            external={"evaluation:yolo12n-s0": External(file.rename(tmp_path / f"{figure}.json"), "file")},
        )
        (end,) = Runner([gate], tmp_path, Slots(), Silent(), frozenset({"gate"})).run()
        assert end.state is State.DONE
    figures = read_record(tmp_path / "phases" / "gate").figures
    assert (figures["metric"], figures["value"], figures["decision"]) == ("map50_val", map50, decision)
    assert (figures["above"], figures["below"]) == (0.82, 0.80)


CANDIDATES = {
    "yolo12n": {"branch": "A", "precision": "int8", "map50_val": 0.84, "latency_ms": 3.0},
    "direct": {"branch": "B", "precision": "int8", "map50_val": 0.850, "latency_ms": 2.0},
    "distilled": {"branch": "B", "precision": "int8", "map50_val": 0.853, "latency_ms": 2.1},
    "pruned": {"branch": "B", "precision": "int8", "map50_val": 0.80, "latency_ms": 1.0},
}


@pytest.mark.parametrize(
    ("decision", "margin", "chosen"),
    [("A", 0.005, "yolo12n"), ("B", 0.005, "direct"), ("B", 0.001, "distilled"), ("both", 0.1, "pruned")],
)
def test_of_engines_that_are_as_good_the_fastest_is_chosen(decision, margin, chosen):
    found = choose(CANDIDATES, decision, margin)
    assert found["variant"] == chosen
    running = {one["name"] for one in found["candidates"] if one["in_the_running"]}
    assert running == {name for name, one in CANDIDATES.items() if decision in ("both", one["branch"])}


def test_only_what_is_wholly_measured_is_chosen_from():
    """`--without 'latency-*'` leaves engines without a latency, which must not stop the choice among the others."""
    roles = ["gate", "engine:a", "evaluation:a", "engine:b", "evaluation:b", "latency:b", "engine:c", "latency:c"]
    assert measured(roles) == ["b"]


def test_a_branch_without_engines_cannot_be_chosen():
    with pytest.raises(CampaignError, match="decision is A, and no engine of that has both"):
        choose({"direct": CANDIDATES["direct"]}, "A", 0.005)
