# SPDX-License-Identifier: AGPL-3.0-only
"""A figure of the report cannot be without a record: not in a table, not in a sentence, not by a slip."""

import json

import pytest

from offline_tools.report.archive import Archive
from offline_tools.report.document import Column, row, table
from offline_tools.report.paper import verify
from offline_tools.report.records import Record, RecordError, follow, readable
from offline_tools.report.text import BareNumberError, Cite, Code, Strong, prose
from offline_tools.report.values import Kind, Source, Value, difference, percent, points, ratio

COMMAND = "cone-tools evaluate"


@pytest.fixture
def record(tmp_path):
    content = {
        "models": [{"map50": 0.8125, "name": "net", "none": None, "a, b": -1.5}],
        "ms": {"a.b": 20.0, "c": 40},
    }
    file = tmp_path / "accuracy.json"
    file.write_text(json.dumps(content))
    return Record.read(file, "accuracy.json", Kind.MEASURED, COMMAND).root


def value(number, kind=Kind.MEASURED, **shown):
    return Value(number, (Source("a.json", '"x"', kind),), **shown)


def test_a_figure_without_a_source_cannot_be_made():
    with pytest.raises(ValueError, match="no source"):
        Value(0.82, ())


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (value(0.8204), "0.820"),
        (value(-0.25, digits=1, unit=" ms"), "−0.2 ms"),
        (value(1399.0, digits=0), "1,399"),
        (value(2.0, digits=1, signed=True), "+2.0"),
        (value(-0.001, digits=1, signed=True), "0.0"),  # what rounds to nothing has no sign
    ],
)
def test_figures_are_printed_as_people_write_them(made, text):
    assert made.text == text


def test_a_computed_figure_carries_the_sources_of_all_that_went_into_it():
    quoted, measured = value(6.78, Kind.QUOTED), value(1.5, Kind.SIMULATED)
    speed_up = ratio(quoted, measured)
    assert speed_up.number == pytest.approx(4.52)
    assert speed_up.kinds == (Kind.SIMULATED, Kind.QUOTED)
    assert speed_up.mark == "sq"
    assert percent(value(0.25)).text == "25.0 %"
    assert points(value(0.82), value(0.80)).text == "+2.0 points"
    assert difference(value(3.0), value(5.0), 1, " ms").text == "−2.0 ms"


def test_a_ratio_to_zero_names_its_source():
    with pytest.raises(ValueError, match=r"a\.json"):
        ratio(value(1.0), value(0.0))


@pytest.mark.parametrize(
    "words",
    ["it takes 1.5 ms", "mAP50 of 0.82", "12 of them", "faster by 20%", "**3 times** as fast", "in 2026", "½ or 5"],
)
def test_words_with_a_number_are_refused(words):
    with pytest.raises(BareNumberError, match="without a source"):
        prose(words)


@pytest.mark.parametrize(
    "words",
    [
        "YOLO11n and YOLO26n",
        "mAP50-95 at IoU 0.5",
        "INT8, FP16",
        "a 1280x720 image",
        "an RTX 4060",
        "3D, 2D",
        "the 320 pass",
    ],
)
def test_names_may_hold_digits(words):
    assert prose(words) == (words,)


def test_a_number_cannot_be_passed_for_a_figure():
    with pytest.raises(BareNumberError):
        prose("mAP50 {map50}", map50=0.82)
    with pytest.raises(BareNumberError):
        table([Column("mAP50")], [row("0.82")], prose("Results."))
    with pytest.raises(BareNumberError):
        table([Column("mAP50 0.82")], [], prose("Results."))


def test_prose_reads_figures_citations_code_and_strong_words():
    figure = value(0.5)
    found = prose("**Eight bits.** It is {it} [@wu2020], by `run --n 3`.", it=figure)
    assert found == (Strong("Eight bits."), " It is ", figure, " ", Cite("wu2020"), ", by ", Code("run --n 3"), ".")


def test_prose_wants_all_its_parts_and_no_more():
    with pytest.raises(KeyError, match="left"):
        prose("{right}", right="a", left="b")
    with pytest.raises(KeyError, match="right"):
        prose("{right}")


def test_a_value_knows_its_record_and_key(record):
    found = record.at("models", 0, "map50").value()
    assert (found.number, found.sources[0].record, found.sources[0].kind) == (0.8125, "accuracy.json", Kind.MEASURED)
    assert readable(found.sources[0].key) == "models[0].map50"


@pytest.mark.parametrize("steps", [("models", 0, "a, b"), ("ms", "a.b"), ("ms", "c")])
def test_a_key_leads_back_to_its_figure(record, steps):
    key = record.at(*steps).value().sources[0].key
    assert follow(record.content, key) == record.at(*steps).content


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (("models", 0, "recall"), r'"models", 0, "recall"'),
        (("models", 7), r'"models", 7'),
        (("gate",), '"gate"'),
    ],
)
def test_a_missing_key_is_named_with_file_and_command(record, steps, says):
    with pytest.raises(RecordError, match=rf"accuracy\.json lacks {says}: write it anew with {COMMAND}"):
        record.at(*steps)
    assert record.find(*steps) is None


@pytest.mark.parametrize("steps", [("models", 0, "name"), ("models", 0, "none"), ("models",)])
def test_what_is_no_number_is_no_figure(record, steps):
    with pytest.raises(RecordError, match="not a number"):
        record.at(*steps).value()


def test_a_damaged_record_names_itself(tmp_path):
    (tmp_path / "accuracy.json").write_text("{")
    with pytest.raises(RecordError, match=r"accuracy\.json cannot be read"):
        Record.read(tmp_path / "accuracy.json", "accuracy.json", Kind.MEASURED, COMMAND)


def test_a_forged_figure_is_found_when_all_are_looked_up_again(record):
    archive = Archive({"accuracy.json": record.record}, ())
    honest = record.at("models", 0, "map50").value()
    verify(archive, [honest, ratio(honest, record.at("ms", "c").value())])
    for forged in (
        Value(0.9, honest.sources),
        Value(0.9, (Source("accuracy.json", '"models", 3, "map50"', Kind.MEASURED),)),
        Value(0.9, (Source("other.json", '"map50"', Kind.MEASURED),)),
    ):
        with pytest.raises(RecordError, match=r"the report says|which the report refers to|was not read"):
            verify(archive, [forged])
