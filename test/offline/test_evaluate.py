# SPDX-License-Identifier: AGPL-3.0-only
"""Figures come from the car's own path: letterbox, engine, NMS, mapping back. A perfect engine scores one on it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from networks import on_canvas, oracle
from pictures import write_yolo

from cone_detector.engine.manifest import ManifestError, read_manifest, write_manifest
from offline_tools.datasets import read_dataset
from offline_tools.datasets.guard import SplitGuard, TestLeakError, register
from offline_tools.datasets.prepare import Source
from offline_tools.evaluate import evaluate, write_evaluation, write_records
from offline_tools.ledger import LedgerError, read_ledger

# Cones of every image, as fractions of it: centre x, centre y, width, height.
CONES = np.array([[0.3, 0.5, 0.05, 0.2], [0.7, 0.6, 0.03, 0.1]])
LABEL = "0 0.3 0.5 0.05 0.2\n4 0.7 0.6 0.03 0.1\n"


def contract_rows(labels=(0, 4)):
    """The cones as a network for a 16:9 camera answers them."""
    return on_canvas(*((*cone, score, label) for cone, score, label in zip(CONES, (0.9, 0.8), labels, strict=True)))


@pytest.fixture
def world(tmp_path):
    """A dataset whose images are stretched to squares, its guard and an empty ledger."""
    root = write_yolo(tmp_path / "data", {"val": range(3), "test": range(3, 6)}, label=LABEL, size=(320, 320))
    register(read_dataset(root).splits["test"], tmp_path / "registry.json")
    guard = SplitGuard.load(tmp_path / "registry.json")
    return Source(root, aspect=(16, 9)), guard, tmp_path


def test_a_perfect_engine_scores_one(world):
    source, guard, folder = world
    result = evaluate(oracle(folder, contract_rows()), source, "val", guard)
    assert result.figures.map50 == pytest.approx(0.995, abs=0.01)
    assert result.figures.map50_95 == pytest.approx(0.995, abs=0.01)
    assert result.images == 3, "an odd last image is counted once"


def test_wrong_proportions_are_noticed(world):
    source, guard, folder = world
    stretched = Source(source.path)
    assert evaluate(oracle(folder, contract_rows()), stretched, "val", guard).figures.map50 < 0.1


def test_cones_are_told_apart_by_height(world):
    source, guard, folder = world
    only_near = contract_rows()[:1]
    heights = evaluate(oracle(folder, only_near), source, "val", guard).by_height
    near, far = heights["45 px and over (under 2.5 m)"], heights["22 to 45 px (2.5 to 5 m)"]
    assert near.recall == pytest.approx(1.0)
    assert far.recall == 0.0


def test_a_wrong_class_is_wrong(world):
    source, guard, folder = world
    figures = evaluate(oracle(folder, contract_rows(labels=(0, 2))), source, "val", guard).figures
    assert figures.per_class["blue_cone"].map50 == pytest.approx(0.995, abs=0.01)
    assert figures.per_class["yellow_cone"].map50 == 0.0


def test_the_test_split_is_evaluated_once(world):
    source, guard, folder = world
    engine, ledger = oracle(folder, contract_rows()), folder / "ledger.json"
    result = evaluate(engine, source, "test", guard, ledger=ledger)
    assert [entry.model_sha256 for entry in read_ledger(ledger)] == [read_manifest(engine).file_sha256]
    assert not result.forced
    with pytest.raises(LedgerError, match="was evaluated on this test split"):
        evaluate(engine, source, "test", guard, ledger=ledger)
    forced = evaluate(engine, source, "test", guard, force=True, ledger=ledger)
    assert forced.to_record(shipped=True)["forced"]
    assert [entry.forced for entry in read_ledger(ledger)] == [False, True]


def test_validation_on_test_images_is_refused(world):
    source, guard, folder = world
    hidden = folder / "hidden"
    (folder / "data" / "images" / "test").rename(folder / "data" / "images" / "innocent")
    (folder / "data" / "labels" / "test").rename(folder / "data" / "labels" / "innocent")
    yaml = (source.path / "data.yaml").read_text()
    (source.path / "data.yaml").write_text(yaml.replace("images/val", "images/innocent").replace("test:", "old:"))
    with pytest.raises(TestLeakError, match="validation"):
        evaluate(oracle(hidden, contract_rows()), source, "val", guard)


def test_figures_are_noted_in_the_manifest_and_the_report(world):
    source, guard, folder = world
    engine = oracle(folder, contract_rows())
    result = evaluate(engine, source, "val", guard)
    write_evaluation(engine, result)
    noted = read_manifest(engine).evaluation
    assert noted is not None
    assert (noted.split, noted.map50) == ("val", round(result.figures.map50, 4))
    report = folder / "docs" / "accuracy.json"
    write_records(report, [(result, False)])
    write_records(report, [(result, True)])
    (entry,) = json.loads(report.read_text())["models"]
    assert entry["shipped"], "a new figure of the same file and split replaces the old one"
    assert {"name", "precision", "resolution", "split", "map50", "map50_95", "recall", "per_class"} <= set(entry)


def test_a_pass_that_sees_a_strip_only_is_not_evaluated_alone(world):
    source, guard, folder = world
    path = oracle(folder, contract_rows())
    write_manifest(path, replace(read_manifest(path), name="band", strip=80))
    with pytest.raises(ManifestError, match="cone-tools policies"):
        evaluate(path, source, "val", guard)
