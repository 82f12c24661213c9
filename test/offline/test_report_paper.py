# SPDX-License-Identifier: AGPL-3.0-only
"""The report's sentences follow the records: the gate, the verdicts, the tier, and what is missing."""

import copy
import json
import re
from collections import defaultdict
from datetime import datetime, timezone

import pytest
import report_records as records
from report_records import WRITERS, variant, write_records

from offline_tools.cli import main
from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Bullets, Figure, Paragraph, Table, values_of
from offline_tools.report.paper import write
from offline_tools.report.records import RecordError
from offline_tools.report.references import cited, references
from offline_tools.report.sections.gate import decision_of
from offline_tools.report.tiers import judge
from offline_tools.report.values import Kind, Label, Source, Value

WHEN = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)


def paper(folder, **changed):
    return write(read(write_records(folder, **changed)), WHEN, "")


def read(folder):
    registry = folder / "test_split.json"
    registry.write_text(json.dumps({"images": [{"name": "a.png"}, {"name": "b.png"}]}))
    return Archive.read(folder, registry)


def text_of(document):
    """All sentences, as they are read."""
    found = []
    for block in document.blocks():
        items = block.items if isinstance(block, Bullets) else [block.parts] if isinstance(block, Paragraph) else []
        found += [
            "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in item) for item in items
        ]
    return "\n".join(found)


def test_with_all_records_nothing_is_missing(tmp_path):
    document = paper(tmp_path / "records")
    assert document.missing() == []
    assert [section.key for section in document.sections] == [
        "summary", "problem", "related", "method", "data", "results", "discussion", "conclusion", "provenance",
    ]  # fmt: skip
    assert {kind for value in document.values() for kind in value.kinds} == set(Kind)


@pytest.mark.parametrize("file", WRITERS)
def test_a_missing_record_is_named_with_the_command_that_makes_it(tmp_path, file):
    document = paper(tmp_path / "records", without=[file])
    command = KNOWN[file].command.split(" ")[:2]
    assert any(missing.command.split(" ")[:2] == command for missing in document.missing())
    assert all(source.record != file for value in document.values() for source in value.sources)


def test_without_any_record_there_is_no_result(tmp_path):
    document = paper(tmp_path / "records", without=WRITERS)
    measured = {
        source.record for value in document.values() for source in value.sources if source.kind is Kind.MEASURED
    }
    assert measured == {"training/run.json", "training/run.csv", "test_split.json"}
    assert "No tier can be claimed" in text_of(document)


@pytest.mark.parametrize(
    ("value", "decision", "says"),
    [
        (0.8301, "A", "above the limit of 0.82. Recorded decision: A (branch A goes on)"),
        (0.7999, "B", "below the limit of 0.80. Recorded decision: B (pivot to branch B)"),
        (0.80, "both", "lies between 0.80 and 0.82. Recorded decision: both"),
        (0.82, "both", "lies between 0.80 and 0.82. Recorded decision: both"),
    ],
)
def test_the_gate_is_told_as_it_was_decided(tmp_path, value, decision, says):
    assert decision_of(value, 0.82, 0.80) == decision
    assert says in text_of(paper(tmp_path / "records", campaign=records.campaign(value, decision)))


def test_a_decision_against_its_own_evidence_is_refused(tmp_path):
    with pytest.raises(RecordError, match="decision is 'A', but by its own value it is 'B'"):
        paper(tmp_path / "records", campaign=records.campaign(0.75, "A"))


@pytest.mark.parametrize(
    ("distilled", "verdict"),
    [
        (variant("d", 0.790, 0.004, "distill"), "It helped"),
        (variant("d", 0.750, 0.004, "distill"), "It hurt"),
        (variant("d", 0.773, 0.004, "distill"), "Neither help nor harm can be shown"),
        (variant("d", 0.790, None, "distill"), "cannot be told from the noise between seeds"),
    ],
    ids=["helped", "hurt", "unclear", "untested"],
)
def test_a_technique_is_judged_by_its_gain_and_its_noise(tmp_path, distilled, verdict):
    campaign = records.campaign()
    campaign["variants"][3] = distilled
    said = next(
        line
        for line in text_of(paper(tmp_path / "records", campaign=campaign)).split("\n")
        if "Distillation. d" in line
    )
    assert verdict in said


def test_variants_measured_in_two_ways_are_compared_by_the_way_that_both_have(tmp_path):
    campaign = records.campaign()
    for at, by_trainer in ((1, 0.760), (3, 0.764)):
        campaign["variants"][at] |= {"map50_val_trainer": by_trainer, "map50_val_trainer_std": 0.004}
    campaign["variants"][3] |= {"map50_val_source": "trainer", "map50_val": 0.764}
    said = text_of(paper(tmp_path / "records", campaign=campaign))
    assert "distilled reaches 0.764 where yolo11n reaches 0.760: +0.4 points" in said


def unfinished_campaign(*finished):
    """Only `finished` of the usual variants; the others, but the teacher, stopped on the way."""
    campaign = records.campaign()
    campaign["variants"] = [one for one in campaign["variants"] if one["name"] in ("yolo12n", "yolo11m", *finished)]
    campaign["unfinished"] = [
        records.halted("yolo11n", 0, [0.1, 0.2, 0.31]),
        records.halted("yolo11n", 1, [0.1, 0.2, 0.32]),
        records.halted("distilled", 0, [0.1, 0.25, 0.3], "distill"),
        records.halted("distilled", 1, [0.1, 0.26], "distill"),
        records.halted("pruned", 0, [], "prune"),
        {"phase": "export-x-s0", "status": "failed", "reason": "no space"},
    ]
    return campaign


def test_unfinished_trainings_are_said_to_be_and_have_no_result(tmp_path):
    document = paper(tmp_path / "records", campaign=unfinished_campaign())
    said = text_of(document)
    assert (
        "Unfinished, without a result: the trainings of yolo11n, distilled and pruned; they stopped after 0 to 3"
        in said
    )
    assert "Distillation. Unfinished, so without a result: distilled (stopped after 3 and 2 of 60 epochs)." in said
    assert "at epoch 2, the last that all of these runs have" in said
    assert "0.250 and 0.260 of distilled, 0.200 and 0.200 of yolo11n, untaught" in said
    assert "Pruning. Unfinished, so without a result: pruned (stopped after 0 of 60 epochs)." in said
    assert "The campaign is not complete: the trainings of yolo11n, distilled and pruned did not finish." in said
    assert "Not all of these trainings came to their end" in said
    table = next(
        block for block in document.blocks() if isinstance(block, Table) and "Unfinished" in str(block.caption)
    )
    assert [row.cells[3][0].text for row in table.rows] == ["3", "3", "3", "2", "0"]
    assert not any(verdict in said for verdict in ("It helped", "It hurt", "can be shown"))


def test_a_backbone_without_direct_training_is_compared_with_no_other_architecture(tmp_path):
    campaign = unfinished_campaign("regnet")
    campaign["variants"][-1]["imagenet_weights"] = False
    said = text_of(paper(tmp_path / "records", campaign=campaign))
    (line,) = (line for line in said.split("\n") if line.startswith("RegNet. regnet"))
    assert "cannot be told: the training that differs from it by the technique alone (yolo11n) did not finish" in line
    assert "yolo12n" not in line
    assert "it started from random ones" in line
    campaign["unfinished"] = []
    assert "has no direct training of the same model" in text_of(paper(tmp_path / "alone", campaign=campaign))


def test_a_network_pruned_from_outside_of_the_campaign_stands_beside_direct_training(tmp_path):
    campaign = records.campaign()
    campaign["variants"][5]["technique_settings"]["weights"] = "weights/net-640.pt"
    campaign["variants"][5]["data_sha256"] = "val-data"
    (line,) = (
        line
        for line in text_of(paper(tmp_path / "records", campaign=campaign)).split("\n")
        if line.startswith("Pruning. pruned")
    )
    assert "pruned reaches 0.745 where yolo11n reaches" in line
    assert "cut out of the network of net-640.onnx, trained apart from the campaign, which reaches 0.801: −5.6" in line
    campaign["variants"][5]["data_sha256"] = "other images"
    said = text_of(paper(tmp_path / "unknown", campaign=campaign))
    assert "cut out of a network trained apart from the campaign. " in said
    assert "0.801: −5.6" not in said


def test_a_network_pruned_from_an_unfinished_variant_has_nothing_beside_it(tmp_path):
    campaign = records.campaign()
    campaign["variants"][5]["technique_settings"]["weights"] = "@elsewhere"
    said = text_of(paper(tmp_path / "records", campaign=campaign))
    assert "the network that it was pruned from is no finished variant of the campaign" in said
    assert "pruned reaches 0.745 where" not in said


def test_better_engines_that_the_gate_kept_out_are_named(tmp_path):
    campaign = records.campaign()
    campaign["chosen"]["candidates"] = [
        {"name": name, "map50_val": map50, "latency_ms": ms, "in_the_running": runs}
        for name, map50, ms, runs in (
            ("yolo11n", 0.77, 50.0, True),
            ("yolo12n", 0.781, 49.0, False),
            ("slow", 0.79, 51.0, False),
        )
    ]
    said = text_of(paper(tmp_path / "records", campaign=campaign))
    assert "The gate's decision kept yolo12n out of this choice, though" in said


def test_a_gate_passed_with_less_than_the_plans_budget_says_so(tmp_path):
    campaign = records.campaign()
    assert "60 epochs where the plan gives 300" in text_of(paper(tmp_path / "less", campaign=campaign))
    campaign["variants"][0]["epochs"] = 300
    assert "where the plan gives" not in text_of(paper(tmp_path / "full", campaign=campaign))


@pytest.mark.parametrize(("data", "told"), [("campaign's", False), ("another", True)])
def test_single_runs_on_other_data_are_not_to_be_compared(tmp_path, data, told):
    campaign = records.campaign()
    for one in campaign["variants"]:
        one["train_data_sha256"] = "campaign's"
    folder = write_records(tmp_path / "records", campaign=campaign)
    run = json.loads((folder / "training" / "run.json").read_text()) | {"data_sha256": {"train": data}}
    (folder / "training" / "run.json").write_text(json.dumps(run))
    notes = "".join(str(block.note) for block in write(read(folder), WHEN, "").blocks() if isinstance(block, Table))
    assert ("They learned from another set of training images" in notes) == told


@pytest.mark.parametrize(
    ("name", "config"), [("h200", "config/campaign/h200.yaml"), ("mine", "config/campaign/CONFIG.yaml")]
)
def test_the_campaigns_record_names_the_campaign_that_wrote_it(tmp_path, name, config):
    archive = read(write_records(tmp_path / "records", campaign=records.campaign() | {"campaign": name}))
    assert archive.records["campaign.json"].command.split()[2] == config


def test_versions_of_several_machines_stand_together(tmp_path):
    versions = [{"python": "3.11", "torch": "2.15"}, {"python": "3.12", "torch": "2.15"}]
    document = paper(tmp_path / "records", campaign=records.campaign() | {"versions": versions})
    shown = [
        part for block in document.blocks() if isinstance(block, Table) for row in block.rows for part in row.cells[-1]
    ]
    assert "python 3.11 or 3.12, torch 2.15" in {part.text for part in shown if isinstance(part, Label)}


def test_a_known_point_that_the_projection_misses_by_more_is_named(tmp_path):
    car = records.car()
    assert "missed by more" not in text_of(paper(tmp_path / "good", rtx4060=car))
    car["known_points"].append({**car["known_points"][0], "name": "upload", "error_pct": -52.0})
    assert "a known point is missed by more: upload by −52 %." in text_of(paper(tmp_path / "bad", rtx4060=car))


def test_of_the_policies_at_projected_costs_only_the_costs_are_simulated(tmp_path):
    document = paper(tmp_path / "records")
    assert "costs projected for RTX 4060, simulated, which may be off by 17 %" in text_of(document)
    (table,) = (
        block
        for block in document.blocks()
        if isinstance(block, Table) and "RTX 4060, simulated" in {getattr(part, "text", "") for part in block.caption}
    )
    for row in table.rows:
        mean, p99, *seen = (cell[0].kinds for cell in row.cells[1:])
        assert {mean, p99} == {(Kind.SIMULATED,)}
        assert set(seen) == {(Kind.MEASURED,)}


def test_each_point_of_the_curve_has_its_name(tmp_path):
    campaign = records.campaign()
    for number, one in enumerate(campaign["variants"]):
        one |= {"map50_val": 0.7 + 0.003 * number, "latency_ms": 50.0 + 5 * number}
    document = paper(tmp_path / "records", campaign=campaign)
    curve = next(block for block in document.blocks() if isinstance(block, Figure) and "scatter" in block.alt)
    drawn = curve.draw(defaultdict(lambda: "#000"))
    assert all(f">{one['name']} fp32<" in drawn for one in campaign["variants"])


def test_a_campaign_on_other_images_reaches_no_tier(tmp_path):
    campaign = records.campaign()
    for one in campaign["variants"]:
        one |= {"data_sha256": "other", "latency_ms": 1.0, "map50_val": 0.9}
    document = paper(tmp_path / "records", campaign=campaign)
    tiers = next(
        block for block in document.blocks() if isinstance(block, Table) and block.columns[-1].title == "falls short in"
    )
    assert not any("distilled" in str(row.cells[1]) for row in tiers.rows)


def test_the_chosen_engine_is_told_with_its_look_at_test(tmp_path):
    campaign = records.campaign() | {"final_test": {"map50": 0.812}}
    campaign["chosen"]["why"] = "fastest of 2 within 0.005"
    said = text_of(paper(tmp_path / "records", campaign=campaign))
    assert "chose yolo11n fp32 on validation: fastest of 2 within 0.005. Its one look at test: mAP50 0.812." in said


def test_a_teacher_that_is_no_better_had_nothing_to_teach(tmp_path):
    campaign = records.campaign()
    campaign["variants"][2]["map50_val"] = 0.76
    assert "it had nothing to teach" in text_of(paper(tmp_path / "records", campaign=campaign))


@pytest.mark.parametrize(
    ("latency", "says"),
    [(52.0, "no time saved"), (41.0, "Time falls less than operations do"), (24.0, "Time falls with the operations")],
)
def test_pruning_is_judged_by_time_and_not_by_operations(tmp_path, latency, says):
    campaign = records.campaign()
    campaign["variants"][5]["latency_ms"] = latency
    assert says in text_of(paper(tmp_path / "records", campaign=campaign))


def test_a_pruned_network_is_compared_with_the_one_that_it_was_pruned_from(tmp_path):
    campaign = records.campaign()
    campaign["variants"][5]["technique_settings"]["weights"] = "@yolo12n"
    assert "pruned reaches 0.745 where yolo12n reaches 0.781" in text_of(paper(tmp_path / "records", campaign=campaign))


@pytest.mark.parametrize(
    ("map50", "latency", "tier", "short"),
    [
        (0.82, 1.5, "excellent", ()),
        (0.83, 1.9, "good", ()),
        (0.81, 1.2, "minimum", ()),
        (0.83, 3.0, "minimum", ()),
        (0.7999, 1.2, None, ("accuracy",)),
        (0.83, 3.01, None, ("latency",)),
        (0.79, 6.78, None, ("accuracy", "latency", "speed-up")),
    ],
)
def test_tiers_are_those_of_the_plan(tmp_path, map50, latency, tier, short):
    archive = read(write_records(tmp_path / "records"))
    source = (Source("a.json", '"x"', Kind.MEASURED),)
    found = judge(archive, Value(map50, source), Value(latency, source))
    assert (found.tier.name if found.tier else None, found.short) == (tier, short)


def test_the_conclusion_names_test_and_validation_apart(tmp_path):
    said = text_of(paper(tmp_path / "records"))
    assert "By test, the tier reached is excellent. net int8 at 640: mAP50 0.831, 1.26 ms" in said
    assert "By val, no tier is reached. net int8 at 640: mAP50 0.799" in said
    assert "it falls short in accuracy. The latency is simulated" in said


def test_int8_beyond_the_limit_is_called_so(tmp_path):
    accuracy = records.accuracy()
    accuracy["models"][2]["map50"] = 0.77
    assert "net-640-int8-qdq.onnx, breaks the plan's limit of 0.5 points" in text_of(
        paper(tmp_path / "a", accuracy=accuracy)
    )
    assert "keeps the plan's limit of 0.5 points" in text_of(paper(tmp_path / "b"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cost_ratio": 0.6, "map50_loss_pt": 1.2}, "cheaper and finds less"),
        ({"cost_ratio": 1.1, "map50_loss_pt": -3.0}, "a second pass is not worth starting"),
        ({}, "cheaper and no worse, since its second look is magnified"),
    ],
)
def test_a_policy_is_judged_by_cost_and_accuracy(tmp_path, change, says):
    adaptive = records.adaptive()
    adaptive["machines"][0]["chosen"].update(change)
    assert says in text_of(paper(tmp_path / "records", adaptive=adaptive))


def test_a_file_that_was_not_timed_still_has_its_accuracy(tmp_path):
    timed, untimed = (
        next(block for block in found.blocks() if isinstance(block, Table) and len(block.columns) > 13)
        for found in (paper(tmp_path / "a"), paper(tmp_path / "b", without=["h200.json", "rtx4060.json"]))
    )
    headings = ["".join(getattr(part, "text", part) for part in row.cells[0]) for row in untimed.rows if row.heading]
    assert headings == ["Test CPU, measured", "Files without a latency, not timed"]
    assert not any("not timed" in str(row.cells) for row in timed.rows)
    assert len(untimed.rows) == len(timed.rows) - 2  # two plans and a projection less, two files more, a heading less


def test_the_summary_times_a_network_that_is_shipped_not_a_faster_one_that_is_not(tmp_path):
    gpu = records.gpu()
    gpu["engines"].append({**gpu["engines"][0], "model": "faster", "canvas": "640", "detector_ms_p50": 0.01})
    said = text_of(paper(tmp_path / "records", h200=gpu))
    assert "two camera images to boxes in" in said
    assert "with faster" not in said


def test_the_smallest_cones_are_told_apart(tmp_path):
    said = text_of(paper(tmp_path / "records"))
    assert "Of the smallest cones (under 11 px) the published network finds 41 % on test" in said


def test_looks_at_files_that_were_replaced_are_told(tmp_path):
    said = text_of(paper(tmp_path / "a"))
    assert "The ledger holds 3 looks; at files that are no longer in use: 1." in said
    assert "forced repetitions: 1" in said
    clean = {"entries": [records.ledger()["entries"][0]]}
    assert "test chose nothing" in text_of(paper(tmp_path / "b", test_ledger=clean))


def test_a_look_at_the_engine_that_the_campaign_chose_is_of_none_that_was_replaced(tmp_path):
    (gone,) = (one for one in records.ledger()["entries"] if not one["forced"] and one["model_sha256"] == "gone")
    ledger = {"entries": [gone]}
    assert "no longer in use: 1." in text_of(paper(tmp_path / "a", test_ledger=ledger))
    campaign = records.campaign() | {"final_test": {"map50": gone["map50"], "model_sha256": "gone"}}
    assert "test chose nothing" in text_of(paper(tmp_path / "b", test_ledger=ledger, campaign=campaign))


def test_a_look_at_a_policy_is_of_none_that_was_replaced(tmp_path):
    ledger = {"entries": [records.ledger()["entries"][0] | {"model": "320 and band", "model_sha256": "policy"}]}
    assert "no longer in use: 1." in text_of(paper(tmp_path / "a", test_ledger=ledger))
    (look,) = records.policy_test()["policies"]
    looks = {"policies": [look | {"policy_sha256": "policy"}]}
    assert "test chose nothing" in text_of(paper(tmp_path / "b", test_ledger=ledger, policy_test=looks))


@pytest.mark.parametrize(
    "key", ["name", "technique", "epochs", "seeds", "map50_val", "params", "gflops", "precision", "latency_ms"]
)
def test_a_variant_that_lacks_a_key_is_refused(tmp_path, key):
    campaign = records.campaign()
    del campaign["variants"][1][key]
    with pytest.raises(RecordError, match=rf'campaign\.json lacks "variants", 1, "{key}"'):
        paper(tmp_path / "records", campaign=campaign)


def test_keys_that_the_report_does_not_know_do_no_harm(tmp_path):
    campaign = records.campaign()
    campaign["mood"] = "good"
    campaign["variants"][0]["colour"] = "blue"
    assert paper(tmp_path / "records", campaign=campaign).missing() == []


def test_a_projection_that_does_not_say_that_it_is_one_is_refused(tmp_path):
    with pytest.raises(RecordError, match="simulated"):
        paper(tmp_path / "records", rtx4060={**records.car(), "simulated": False})


def test_every_projected_figure_is_called_simulated(tmp_path):
    values = [value for value in paper(tmp_path / "records").values() if value.sources[0].record == "rtx4060.json"]
    known = [value for value in values if "known_ms" in value.sources[0].key]
    assert len(values) > 8
    assert all(Kind.SIMULATED in value.kinds for value in values if value not in known)
    assert [value.kinds for value in known] == [(Kind.QUOTED,)]


def test_each_table_of_results_names_its_records(tmp_path):
    for block in paper(tmp_path / "records").blocks():
        assert all(value.sources for value in values_of(block))


def test_every_citation_is_in_the_list_and_every_entry_is_cited(tmp_path):
    assert set(cited(paper(tmp_path / "records"))) == set(references())
    for entry in references().values():
        assert entry.authors
        assert entry.title
        assert re.fullmatch(r"(\d{4}\.\d{4,5})?", entry.arxiv)


def test_the_command_writes_both_files_and_says_what_is_missing(tmp_path, capsys):
    folder = write_records(tmp_path / "records", without=["h200.json"])
    assert main(["report", "--records", str(folder), "--output", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "missing: the latency of TensorRT engines on a GPU: cone-tools benchmark" in output
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_campaigns_own_figures_go_before_those_of_the_records(tmp_path):
    folder = write_records(tmp_path / "records")
    own = copy.deepcopy(records.campaign())
    own["variants"][3]["name"] = "tutored"
    phase = tmp_path / "campaign" / "phases" / "report"
    phase.mkdir(parents=True)
    (phase / "campaign.json").write_text(json.dumps(own))
    arguments = ["report", "--records", str(folder), "--output", str(tmp_path / "out"), "--format", "html"]
    assert main([*arguments, "--campaign", str(tmp_path / "campaign")]) == 0
    assert "tutored" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--records", "nowhere"], "no folder of records"), (["--campaign", "nowhere"], "holds no campaign.json")],
)
def test_a_wrong_folder_is_refused_in_one_line(tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *options, "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_labels_of_records_may_hold_digits(tmp_path):
    # A policy is called "cascade, mean confidence 0.80" by its record: that is a name with a source, not a figure.
    assert (
        Label("cascade, mean confidence 0.80", Source("adaptive.json", '"policy"', Kind.MEASURED)).cut(7).text
        == "cascade"
    )
