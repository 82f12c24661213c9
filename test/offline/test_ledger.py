# SPDX-License-Identifier: AGPL-3.0-only
"""A model sees a test split once; a second look is refused, and a forced one is marked for good."""

import pytest

from offline_tools.ledger import Entry, LedgerError, read_ledger, record, refuse_second_look

MODEL, DATA = "a" * 64, "b" * 64


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "docs" / "ledger.json"
    record(Entry("net-640.onnx", MODEL, DATA, 0.81, 0.5, date="2026-01-02T03:04:05+00:00"), path)
    return path


@pytest.mark.parametrize(("model", "data"), [(MODEL, "c" * 64), ("c" * 64, DATA)])
def test_another_model_or_other_data_is_a_first_look(ledger, model, data):
    assert refuse_second_look(model, data, force=False, path=ledger) is False


def test_a_second_look_is_refused_with_the_first_figures(ledger):
    with pytest.raises(LedgerError, match=r"net-640\.onnx .* on 2026-01-02.* mAP50 0\.8100"):
        refuse_second_look(MODEL, DATA, force=False, path=ledger)


def test_a_forced_look_says_so(ledger):
    assert refuse_second_look(MODEL, DATA, force=True, path=ledger) is True


def test_entries_are_only_added(ledger):
    record(Entry("net-640.onnx", MODEL, DATA, 0.82, 0.5, forced=True), ledger)
    assert [entry.forced for entry in read_ledger(ledger)] == [False, True]


def test_a_damaged_ledger_is_no_empty_ledger(ledger):
    ledger.write_text("{")
    with pytest.raises(LedgerError, match="damaged"):
        refuse_second_look(MODEL, DATA, force=False, path=ledger)
