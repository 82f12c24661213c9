# SPDX-License-Identifier: AGPL-3.0-only
"""Sweep hyperparameters over a training configuration, or say what a sweep found.

The file names the training configuration and what may vary; see config/sweep/cones.yaml and docs/sweep.md. Trials,
their records and the study go to RUNS/NAME. Started again, a sweep goes on; started twice, both work on the same study.

  cone-tools sweep config/sweep/sample.yaml --device cpu
  cone-tools sweep config/sweep/cones.yaml --device 0 & cone-tools sweep config/sweep/cones.yaml --device 1
  cone-tools sweep analyze runs/sweeps/cones
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from offline_tools.commands.options import add_registry
from offline_tools.sweep import SweepError
from offline_tools.sweep.config import BACKENDS, read_sweep
from offline_tools.sweep.record import COMPLETED, TrialRecord, read_records, write_json
from offline_tools.sweep.start import open_folder
from offline_tools.sweep.start import run as run_trials

_ANALYZE = "analyze"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("config", metavar="CONFIG.yaml", help="sweep, or the word analyze")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="of the sweep to analyze")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/sweeps"), metavar="FOLDER", help="folder of all sweeps (%(default)s)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="use a folder of `cone-tools data prepare`")
    parser.add_argument("--device", default="", help="of each trial: GPU, as 0, several, as 0,1, or cpu")
    parser.add_argument("--backend", choices=BACKENDS, help="instead of the file's")
    parser.add_argument("--trials", type=int, metavar="N", help="instead of the file's")
    parser.add_argument(
        "--storage",
        default="",
        metavar="URL",
        help="a database for Optuna's study, as sqlite:///sweep.db (default: a journal file in the sweep's folder)",
    )
    parser.add_argument("--wandb", choices=("disabled", "offline", "online"), help="instead of the file's")
    add_registry(parser)


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    if args.config == _ANALYZE:
        if args.folder is None:
            raise SweepError("analyze needs the folder of a sweep, as runs/sweeps/cones")
        return _analyze(args.folder)
    if args.folder is not None:
        raise SweepError(f"{args.folder} is one argument too many: write `sweep CONFIG.yaml` or `sweep analyze FOLDER`")
    sweep = read_sweep(Path(args.config))
    changes = {key: value for key in ("backend", "trials", "wandb") if (value := getattr(args, key)) is not None}
    sweep = replace(sweep, **changes)
    folder = args.runs / sweep.name
    job = open_folder(sweep, folder, args.data, args.registry, args.device)
    print(f"{sweep.trials} trials of {sweep.epochs} epochs in {folder}, by {sweep.backend}", flush=True)
    run_trials(job, args.storage, _say)
    _analyze(folder)
    return 0 if any(record.state == COMPLETED for record in read_records(folder)) else 1


def _say(record: TrialRecord) -> None:
    figure = "" if record.value is None else f", {record.metric} {record.value:.4f} at epoch {record.best_epoch}"
    reason = "" if record.state == COMPLETED else f" ({record.reason})"
    print(f"trial {record.number}: {record.state}{reason}{figure}, {record.seconds:.0f} s", flush=True)


def _analyze(folder: Path) -> int:
    from offline_tools.sweep.analysis import analyze
    from offline_tools.sweep.plot import plot
    from offline_tools.sweep.report import show

    analysis = analyze(folder)
    write_json(folder / "analysis.json", analysis.to_json())
    plot(folder / "analysis.png", analysis)
    show(analysis)
    print(f"written to {folder / 'analysis.json'} and {folder / 'analysis.png'}")
    return 0
