# SPDX-License-Identifier: AGPL-3.0-only
"""One command from a dataset to a decided, measured, reported engine.

A campaign is a graph of phases: train, export, evaluate, the gate between the branches, INT8, latency, the choice, the
final evaluation. Each runs as a process of its own and leaves a record with hashes of what went in and what came out.
A phase whose inputs and outputs are as recorded is not repeated; killed trainings go on from their last epoch; a
damaged file is made again. The folder may be moved to another machine and goes on there. See docs/campaign.md.

  cone-tools campaign config/campaign/sample.yaml               20 pictures, on a CPU
  cone-tools campaign config/campaign/two_branches.yaml --dry-run
  cone-tools campaign config/campaign/h200.yaml --only 'train-*' --data DATA
"""

from __future__ import annotations

import argparse
import fcntl
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console

from offline_tools.campaign.config import CampaignConfig, read_campaign
from offline_tools.campaign.display import Display
from offline_tools.campaign.dry_run import foresee, to_text
from offline_tools.campaign.pack import pack
from offline_tools.campaign.phase import CampaignError, Phase, ancestors
from offline_tools.campaign.plan import make_plan
from offline_tools.campaign.records import write_json
from offline_tools.campaign.runner import Progress, Runner, State
from offline_tools.campaign.slots import Slots
from offline_tools.campaign.summary import summarize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("config", type=Path, help="configuration, as config/campaign/two_branches.yaml")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would run, why and for how long, and run nothing"
    )
    for name, text in (
        ("only", "only these phases"),
        ("until", "only these phases and all that they need"),
        ("without", "go on as if a gate had decided against these"),
        ("force", "run these though nothing has changed"),
    ):
        text += "; may be repeated"
        parser.add_argument(f"--{name}", action="append", default=[], metavar="PATTERN", help=text)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write figures, as docs/benchmarks/campaign.json")
    parser.add_argument(
        "--pack", type=Path, metavar="FILE", help="run nothing; pack the folder into this small tar file"
    )
    here = parser.add_argument_group("this machine", "instead of what the configuration says")
    here.add_argument("--folder", help="campaign's folder")
    here.add_argument("--data", help="prepared data")
    here.add_argument("--devices", help="GPUs, as 0,1, or cpu")
    here.add_argument("--jobs", type=int, metavar="N", help="trainings on each device at a time")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code: 1 where a phase failed."""
    config = _configured(args)
    root, console = Path(config.folder), Console()
    phases = make_plan(config)
    left_out = _matching(phases, args.without, "--without")
    selected = _selected(phases, args) - left_out
    if args.pack:
        print(f"{args.pack}: {pack(root, args.pack, selected)} files, {args.pack.stat().st_size / 1e6:.1f} MB")
        return 0
    forced = _matching(phases, args.force, "--force")
    slots = Slots(config.devices, config.jobs_per_device, config.cpu_jobs)
    if args.dry_run:
        print(to_text(foresee(phases, root, selected, left_out, forced), slots))
        return 0
    with _locked(root), Display(console, root, slots, selected) as display:
        result = Runner(phases, root, slots, display, selected, left_out, forced).run()
    if args.record:
        write_json(args.record, {"campaign": config.name, **summarize(root)})
    return _conclude(result, console)


def _configured(args: argparse.Namespace) -> CampaignConfig:
    config = read_campaign(args.config)
    changes = {
        "folder": args.folder,
        "data": args.data,
        "devices": args.devices and args.devices.split(","),
        "jobs_per_device": args.jobs,
    }
    return replace(config, **{key: value for key, value in changes.items() if value})


def _selected(phases: Sequence[Phase], args: argparse.Namespace) -> frozenset[str]:
    selected = frozenset(phase.name for phase in phases)
    if args.only:
        selected &= _matching(phases, args.only, "--only")
    if args.until:
        selected &= ancestors(phases, _matching(phases, args.until, "--until"))
    return selected


def _matching(phases: Sequence[Phase], patterns: Sequence[str], option: str) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        names = {phase.name for phase in phases if fnmatch(phase.name, pattern)}
        if not names:
            raise CampaignError(f"{option} {pattern} fits no phase; there are {', '.join(p.name for p in phases)}")
        found |= names
    return frozenset(found)


def _conclude(result: Sequence[Progress], console: Console) -> int:
    """Says how it ended; returns the exit code."""
    counts = {state: sum(one.state is state for one in result) for state in State}
    console.print(", ".join(f"{count} {state.value}" for state, count in counts.items() if count), highlight=False)
    bad = [one for one in result if one.state in (State.FAILED, State.BLOCKED)]
    for one in bad:
        console.print(
            f"{one.state.value:>9}  {one.phase.name}: {one.reason}", style="red", markup=False, soft_wrap=True
        )
    return 1 if bad else 0


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One campaign a folder at a time; a polite end of the process ends its phases too. Raises CampaignError."""
    root.mkdir(parents=True, exist_ok=True)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with (root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CampaignError(
                    f"another campaign runs in {root}: wait for it, or give another --folder"
                ) from error
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
