# SPDX-License-Identifier: AGPL-3.0-only
"""Training runs are compared by the epoch whose weights were kept."""

import json

import pytest

from offline_tools.compare import read_run, to_markdown
from offline_tools.train import TrainError

CSV = "epoch,time,metrics/mAP50(B),metrics/mAP50-95(B)\n1,10,0.5,0.2\n2,20,0.7,0.4\n3,30,0.71,0.39\n"


def write(folder, name, imgsz):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(CSV)
    record = folder / f"{name}.json"
    record.write_text(json.dumps({"seconds": 90.0, "device": "a GPU", "settings": {"imgsz": imgsz}}))
    return record


def test_the_kept_epoch_counts(tmp_path):
    run = read_run(write(tmp_path, "net-640", 640))
    assert (run.epochs, run.kept, run.map50, run.minutes) == (3, 2, 0.7, 1.5)


def test_a_stage_record_reads_the_csv_beside_it(tmp_path):
    record = write(tmp_path / "net" / "640", "stage", 640)
    record.with_suffix(".csv").rename(record.with_name("results.csv"))
    assert read_run(record).name == "net 640"


def test_the_table_keeps_resolutions_apart(tmp_path):
    runs = [read_run(write(tmp_path, name, size)) for name, size in (("low", 320), ("high", 640))]
    rows = to_markdown(runs).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| high", "| low"]


def test_a_record_without_figures_is_refused(tmp_path):
    record = write(tmp_path, "net", 640)
    record.with_suffix(".csv").write_text("epoch\n1\n")
    with pytest.raises(TrainError, match="no record of a training run"):
        read_run(record)
