# SPDX-License-Identifier: AGPL-3.0-only
"""An analysis says what mattered only where the trials can say it, and finds what crashes share."""

import json
import math

import cv2
import numpy as np
import pytest
from sweep_world import make_job, make_sweep

from offline_tools.cli import main
from offline_tools.sweep import SweepError, ending
from offline_tools.sweep.analysis import analyze
from offline_tools.sweep.config import METRICS
from offline_tools.sweep.failures import crashes
from offline_tools.sweep.influence import influences, too_few
from offline_tools.sweep.record import COMPLETED, FAILED, PRUNED, TrialRecord, trial_folder, write_record
from offline_tools.sweep.runner import read_epochs
from offline_tools.sweep.space import read_space

SPACE = read_space(
    {
        "lr0": {"log": [0.0003, 0.03]},
        "mosaic": {"float": [0.0, 1.0]},
        "batch": {"int": [8, 96]},
        "optimizer": {"choice": ["SGD", "AdamW"]},
    }
)


def draw_params(draw):
    return {
        "lr0": float(10 ** draw.uniform(-3.5, -1.6)),
        "mosaic": float(draw.uniform()),
        "batch": int(draw.integers(8, 97)),
        "optimizer": str(draw.choice(["SGD", "AdamW"])),
    }


def completed(count, value, seed=0):
    draw = np.random.default_rng(seed)
    trials = []
    for number in range(count):
        params = draw_params(draw)
        trials.append(TrialRecord(number, params, "map50", COMPLETED, value=float(value(params, draw))))
    return trials


def failed(number, params, reason="out of memory", error="MemoryError: CUDA out of memory at 0x12"):
    return TrialRecord(number, params, "map50", FAILED, reason, error=error)


def test_a_number_and_a_choice_that_matter_are_found_and_noise_is_not():
    def value(params, draw):
        gain = 0.1 if params["optimizer"] == "AdamW" else 0.0
        return 0.5 + 0.1 * math.log10(params["lr0"]) + gain + draw.normal(0, 0.01)

    found = {one.name: one for one in influences(completed(40, value), SPACE)}
    assert found["lr0"].verdict == "more is better"
    assert found["lr0"].interval[0] > 0.3
    assert found["lr0"].interval[0] < found["lr0"].correlation < found["lr0"].interval[1]
    assert found["optimizer"].verdict == "AdamW is best"
    assert found["optimizer"].explained > 0.2
    for name in ("mosaic", "batch"):
        assert found[name].verdict == "cannot be told from chance"
        assert found[name].importance < min(found["lr0"].importance, found["optimizer"].importance)


def test_pure_noise_names_no_setting():
    for seed in range(5):
        trials = completed(30, lambda params, draw: draw.uniform(), seed)
        assert {one.verdict for one in influences(trials, SPACE)} == {"cannot be told from chance"}


def test_a_setting_that_never_varied_says_nothing():
    trials = completed(12, lambda params, draw: draw.uniform())
    fixed = [TrialRecord(t.number, {**t.params, "mosaic": 1.0}, "map50", COMPLETED, value=t.value) for t in trials]
    found = {one.name: one for one in influences(fixed, SPACE)}
    assert (found["mosaic"].correlation, found["mosaic"].p) == (None, 1.0)


@pytest.mark.parametrize(
    ("count", "value", "says"),
    [
        (11, lambda params, draw: draw.uniform(), "11 ran to their end, 4 settings need 12"),
        (12, lambda params, draw: 0.0, "nothing was learnt"),
        (12, lambda params, draw: draw.uniform(), ""),
    ],
)
def test_too_few_trials_are_said_to_be_too_few(count, value, says):
    assert says in too_few(completed(count, value), SPACE)
    assert bool(says) == bool(too_few(completed(count, value), SPACE))


def test_crashes_share_a_threshold_and_an_error():
    trials = []
    for trial in completed(40, lambda params, draw: draw.uniform()):
        trials.append(failed(trial.number, trial.params) if trial.params["batch"] >= 64 else trial)
    (crash,) = crashes(trials, SPACE)
    assert crash.reason == "out of memory"
    (rule,) = crash.rules
    threshold = int(rule.text.removeprefix("batch >= "))
    assert threshold == min(trial.params["batch"] for trial in trials if trial.state == FAILED)
    assert (rule.failed, rule.of, rule.failed_else) == (len(crash.trials), len(crash.trials), 0)
    assert rule.p < 1e-5


def test_crashes_by_chance_name_no_setting():
    trials = completed(40, lambda params, draw: draw.uniform())
    trials = [failed(t.number, t.params) if t.number % 5 == 0 else t for t in trials]
    (crash,) = crashes(trials, SPACE)
    assert not crash.rules
    assert crash.remark == "no setting stands out among them"


def test_errors_are_told_apart_but_not_by_their_numbers():
    params = completed(1, lambda params, draw: 0.5)[0].params
    trials = [
        failed(1, params, "error", "FileNotFoundError: /data/run/3/a.jpg"),
        failed(2, params, "error", "FileNotFoundError: /data/run/4/b.jpg"),
        failed(3, params, "error", "ValueError: 7 classes"),
        failed(4, params, "killed by SIGKILL", ""),
    ]
    assert [(crash.reason, list(crash.trials)) for crash in crashes(trials, SPACE)] == [
        ("error", [1, 2]),
        ("error", [3]),
        ("killed by SIGKILL", [4]),
    ]


@pytest.mark.parametrize(
    ("returncode", "log", "reason", "error"),
    [
        (
            1,
            "torch.OutOfMemoryError: CUDA out of memory. Tried",
            "out of memory",
            "torch.OutOfMemoryError: CUDA out of",
        ),
        (1, "RuntimeError: [enforce] can't allocate memory: 12", "out of memory", "RuntimeError"),
        (1, "cone-tools train: Training failed: NaN persisted for 4 epochs", "diverged", "cone-tools train: Training"),
        (-9, "  3/10  2.1G\r  4/10  2.1G", "killed by SIGKILL", "4/10"),
        (-11, "", "killed by SIGSEGV", ""),
        (1, "Traceback\nKeyError: 'a'\nwandb: done", "error", "KeyError: 'a'"),
        (1, "CUDA out of memory with batch=64. Reducing to batch=32 and\nKeyError: 'a'", "error", "KeyError"),
    ],
)
def test_the_reason_of_an_exit(tmp_path, returncode, log, reason, error):
    (tmp_path / "train.log").write_text(log)
    lines = ending.log_lines(tmp_path / "train.log")
    assert ending.why(returncode, lines) == reason
    assert ending.error_line(lines).startswith(error)


def test_a_batch_that_the_trainer_halved_is_noted():
    assert ending.notes(["CUDA out of memory with batch=64. Reducing to batch=32 and retrying (1/3)."]) == [
        "the trainer reduced batch 64 to 32, out of memory"
    ]


def test_a_row_that_is_being_written_is_left_for_later(tmp_path):
    table = tmp_path / "results.csv"
    table.write_text("epoch,  metrics/mAP50(B)\n1, 0.5\n2, 0.")
    assert read_epochs(table) == [{"epoch": 1.0, "metrics/mAP50(B)": 0.5}]


@pytest.fixture
def swept(tmp_path):
    """A folder with 30 trials: completed, one of them pruned, and large batches failed."""
    make_job(tmp_path, make_sweep(space=SPACE, trials=30))
    for trial in completed(30, lambda params, draw: 0.8 + 0.1 * math.log10(params["lr0"]) + draw.normal(0, 0.01), 3):
        rows = [{"epoch": float(n), METRICS["map50"]: trial.value * n / 3} for n in (1, 2, 3)]
        state = PRUNED if trial.number == 4 else COMPLETED
        record = TrialRecord(
            trial.number, trial.params, "map50", state, "done", trial.value, 3, rows, 60.0, "CPU", attempts=1
        )
        if trial.params["batch"] >= 72:
            record = failed(trial.number, trial.params)
        trial_folder(tmp_path, trial.number).mkdir()
        write_record(tmp_path, record)
    return tmp_path


def test_the_command_ranks_explains_and_draws(swept, capsys):
    assert main(["sweep", "analyze", str(swept)]) == 0
    output = capsys.readouterr().out
    assert "what mattered" in output
    assert "more is better" in output
    assert "out of memory" in output
    assert "batch >= 7" in output
    written = json.loads((swept / "analysis.json").read_text())
    values = [trial["value"] for trial in written["ranked"] if trial["state"] == COMPLETED]
    assert values == sorted(values, reverse=True)
    assert written["measured_on"] == "val"
    assert written["influences"][0]["name"] == "lr0"
    assert "1 trials stopped early are left out" in written["remark"]
    assert cv2.imread(str(swept / "analysis.png")).std() > 10


def test_what_was_tried_with_another_batch_than_asked_counts_for_nothing(swept):
    trials = analyze(swept).ranked
    before = analyze(swept)
    for trial in trials[:3]:
        values = {**trial.__dict__, "notes": ["the trainer reduced batch 64 to 32, out of memory"]}
        write_record(swept, TrialRecord(**values))
    assert len(analyze(swept).ranked) == len(before.ranked)
    assert analyze(swept).influences != before.influences


@pytest.mark.parametrize(("made", "says"), [(False, "holds no sweep"), (True, "holds no trial yet")])
def test_a_folder_without_trials_is_refused(tmp_path, made, says):
    if made:
        make_job(tmp_path)
    with pytest.raises(SweepError, match=says):
        analyze(tmp_path)
