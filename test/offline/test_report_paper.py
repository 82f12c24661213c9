# SPDX-License-Identifier: AGPL-3.0-only
"""The report's sentences follow the records: the gate, the verdicts, the tier, and what is missing."""

import copy
import json
import re
from datetime import datetime, timezone

import pytest
import report_records as records
from report_records import WRITERS, variant, write_records

from offline_tools.cli import main
from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Bullets, Paragraph, Table, values_of
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


def test_the_smallest_cones_are_told_apart(tmp_path):
    said = text_of(paper(tmp_path / "records"))
    assert "Of the smallest cones (under 11 px) the published network finds 41 % on test" in said


def test_looks_at_files_that_were_replaced_are_told(tmp_path):
    said = text_of(paper(tmp_path / "a"))
    assert "The ledger holds 3 looks; at files that are no longer in use: 1." in said
    assert "forced repetitions: 1" in said
    clean = {"entries": [records.ledger()["entries"][0]]}
    assert "test chose nothing" in text_of(paper(tmp_path / "b", test_ledger=clean))


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
