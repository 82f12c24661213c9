# SPDX-License-Identifier: AGPL-3.0-only
"""campaign.json holds what finished phases recorded, seeds together, and nothing else."""

import json
import tarfile

import pytest

from cone_detector.engine.manifest import file_sha256
from offline_tools.campaign.pack import pack
from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.records import Record, read_record, write_json, write_record
from offline_tools.campaign.summary import summarize

TRAINED = {"map50": 0.7, "params": 2583127, "gflops": 6.4, "device": "NVIDIA H200", "weights_sha256": "w"}
EVALUATED = {
    "map50": 0.7, "map50_95": 0.4, "precision_at_best_f1": 0.8, "recall": 0.6, "images": 116, "resolution": 640,
    "data_sha256": "d", "precision": "fp32", "runtime": "onnx",
}  # fmt: skip


def write(root, name, step, figures, status="done", settings=None, **labels):
    folder = root / "phases" / name
    write_json(folder / "figures.json", figures)
    outputs = {"figures.json": file_sha256(folder / "figures.json")}
    write_record(
        folder,
        Record(name, step, 1, status, "k", settings or {}, {}, outputs, figures, seconds=60.0,
               machine={"cpu": "EPYC", "load_average_1min": 1.0}, labels=labels),
    )  # fmt: skip


def write_training(root, variant, seed, map50, status="done", technique=None, **more):
    settings = {"model": "yolo11n.yaml", "technique": technique, "epochs": 60, "stages": [{"name": "640"}]}
    figures = {**TRAINED, "map50": map50, **more}
    labels = {"variant": variant, "branch": "B", "seed": seed}
    write(root, f"train-{variant}-s{seed}", "train", figures, status, settings, **labels)


def write_measured(root, variant, seed, map50):
    labels = {"variant": variant, "branch": "B", "measured": variant, "pass": "640"}
    write(root, f"evaluate-{variant}-s{seed}", "evaluate", {**EVALUATED, "map50": map50}, seed=seed, **labels)


@pytest.fixture
def campaign(tmp_path):
    for seed, map50 in enumerate((0.70, 0.72, 0.74)):
        write_training(tmp_path, "direct", seed, map50)
    return tmp_path


def test_seeds_are_grouped_to_mean_and_deviation(campaign):
    (entry,) = summarize(campaign)["variants"]
    assert (entry["name"], entry["seeds"], entry["epochs"], entry["technique"]) == ("direct", [0, 1, 2], 60, "none")
    assert (entry["map50_val"], entry["map50_val_std"]) == (0.72, 0.02)
    assert entry["map50_val_source"] == "trainer"
    assert entry["latency_ms"] is None, "nobody measured it"


def test_the_detectors_figures_go_before_the_trainers_once_all_seeds_have_them(campaign):
    for seed, map50 in enumerate((0.68, 0.70, 0.72)):
        assert summarize(campaign)["variants"][0]["map50_val_source"] == "trainer"
        write_measured(campaign, "direct", seed, map50)
    (entry,) = summarize(campaign)["variants"]
    assert (entry["map50_val"], entry["map50_val_source"]) == (0.70, "detector")
    assert (entry["map50_val_trainer"], entry["map50_val_trainer_std"]) == (0.72, 0.02)


def test_a_single_seed_says_nothing_of_the_spread(tmp_path):
    write_training(tmp_path, "pruned", 0, 0.6, technique={"kind": "prune", "weights": "@direct"})
    (entry,) = summarize(tmp_path)["variants"]
    assert (entry["technique"], entry["map50_val"], entry["map50_val_std"]) == ("prune", 0.6, None)


def test_int8_is_an_entry_of_its_own_with_its_latency_and_machine(campaign):
    for seed in (0, 1, 2):
        write_measured(campaign, "direct", seed, 0.7)
    write(campaign, "pick-direct", "pick", {**EVALUATED, "map50": 0.74, "seed": 2})
    int8 = {**EVALUATED, "map50": 0.738, "precision": "int8", "runtime": "openvino"}
    write(campaign, "evaluate-direct-int8", "evaluate", int8, variant="direct", measured="direct")
    write(campaign, "latency-direct-int8", "latency", {"detector_ms_p50": 21.5}, variant="direct", measured="direct")
    plain, entry = summarize(campaign)["variants"]
    assert (plain["precision"], plain["latency_ms"]) == ("fp32", None)
    assert (entry["precision"], entry["seeds"], entry["map50_val"]) == ("int8", [2], 0.738)
    assert (entry["map50_val_float"], entry["latency_ms"], entry["latency"]["machine"]) == (0.74, 21.5, "EPYC")


def test_unfinished_and_damaged_phases_give_no_figures(campaign):
    write_training(campaign, "distilled", 0, 0.9, status="running")
    write_training(campaign, "regnet", 0, 0.9, status="failed")
    (campaign / "phases/train-direct-s2/figures.json").write_text("{}")
    summary = summarize(campaign)
    assert [entry["name"] for entry in summary["variants"]] == ["direct"]
    assert summary["variants"][0]["seeds"] == [0, 1]
    reasons = {one["phase"]: one["reason"] for one in summary["unfinished"]}
    assert reasons["train-distilled-s0"] == "was interrupted"
    assert "figures.json is damaged" in reasons["train-direct-s2"]
    assert set(reasons) == {"train-direct-s2", "train-distilled-s0", "train-regnet-s0"}


def test_the_phase_that_reports_is_not_said_to_be_unfinished(campaign):
    write(campaign, "report", "report", {}, status="running")
    assert [one["phase"] for one in summarize(campaign)["unfinished"]] == ["report"]
    assert summarize(campaign, "report")["unfinished"] == []


def test_of_an_interrupted_training_it_says_how_far_it_got(campaign):
    distill = {"kind": "distill", "teacher": "@teacher"}
    write_training(campaign, "distilled", 1, 0.9, status="running", technique=distill)
    folder = campaign / "phases/train-distilled-s1/640"
    folder.mkdir()
    rows = "1,0.1,0.05\n2,0.3,0.15\n2,0.31234,0.16\n"
    (folder / "results.csv").write_text("epoch,metrics/mAP50(B),metrics/mAP50-95(B)\n" + rows)
    write_training(campaign, "late", 0, 0.9, status="failed")
    (campaign / "phases/train-direct-s2/figures.json").write_text("{}")
    distilled, late, damaged = (
        next(one for one in summarize(campaign)["unfinished"] if one["phase"] == f"train-{name}")
        for name in ("distilled-s1", "late-s0", "direct-s2")
    )
    about = ("variant", "technique", "technique_settings", "seed", "epochs", "epochs_done")
    assert [distilled[key] for key in about] == ["distilled", "distill", distill, 1, 60, 2]
    assert distilled["map50_val_trainer_by_epoch"] == [0.1, 0.3123], "an epoch that was repeated counts once"
    assert (late["epochs_done"], late["map50_val_trainer_by_epoch"]) == (0, [])
    assert "epochs_done" not in damaged, "what lies there is not what was trained"


def test_a_backbone_that_missed_its_imagenet_weights_says_so(tmp_path):
    backbone = {"kind": "backbone", "name": "regnet_y_400mf"}
    for name, start in (
        ("regnety", {"technique": {**backbone, "pretrained": True}, "imagenet_weights": False}),
        ("regnet", {"technique": {"kind": "backbone", "name": "regnet"}, "imagenet_weights": False}),
    ):
        write_training(tmp_path, name, 0, 0.6, technique=backbone, start=start)
    regnet, regnety = summarize(tmp_path)["variants"]
    assert regnety["imagenet_weights"] is False
    assert "imagenet_weights" not in regnet, "nobody has such weights of it"


def test_the_gate_and_the_machine_are_in_it(campaign):
    write(campaign, "gate", "gate", {"metric": "map50_val", "value": 0.74, "decision": "B"})
    summary = summarize(campaign)
    assert summary["gate"] == {"metric": "map50_val", "value": 0.74, "decision": "B"}
    assert summary["machines"] == [{"cpu": "EPYC"}]
    json.dumps(summary)


def test_a_packed_campaign_is_small_and_whole(campaign, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("direct-s0", "distilled-s0"):
        folder = campaign / "phases" / f"train-{name}"
        (folder / "640/weights").mkdir(parents=True)
        for file in ("best.pt", "last.pt"):
            (folder / "640/weights" / file).write_bytes(b"w" * 1000)
        (folder / "640/results.csv").write_text("epoch\n1\n")
    write_training(campaign, "distilled", 0, 0.0, status="running")
    folder = campaign / "phases/train-direct-s0"
    record = read_record(folder)
    record.outputs["640/weights/best.pt"] = file_sha256(folder / "640/weights/best.pt")
    write_record(folder, record)
    names = [f"train-{name}" for name in ("direct-s0", "direct-s1", "distilled-s0")]
    pack(campaign, other / "campaign.tar", names)
    with tarfile.open(other / "campaign.tar") as archive:
        archive.extractall(other, filter="data")
        packed = {name.split("phases/")[1] for name in archive.getnames()}
    assert "train-direct-s0/640/weights/best.pt" in packed
    assert "train-distilled-s0/640/results.csv" in packed
    assert not [name for name in packed if "last.pt" in name or "distilled-s0/640/weights" in name]
    summary = summarize(other / campaign.name)
    assert [entry["seeds"] for entry in summary["variants"]] == [[0, 1]]
    assert [one["phase"] for one in summary["unfinished"]] == ["train-distilled-s0"]


def test_nothing_to_pack_is_said(tmp_path):
    with pytest.raises(CampaignError, match="nothing to pack"):
        pack(tmp_path, tmp_path / "x.tar", ["train-direct-s0"])
