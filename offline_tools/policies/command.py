# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools policies`: tunes the adaptive settings on labelled sequences, for one machine or several."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cone_detector.adaptive.passes import HIGH, LOW
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError
from cone_detector.engine.select import Choice, choose, load
from cone_detector.pairing import slots_needed
from offline_tools.commands.options import aspect
from offline_tools.datasets.guard import SplitGuard
from offline_tools.datasets.prepare import Source
from offline_tools.datasets.sample import DatasetError
from offline_tools.policies import costs as pricing
from offline_tools.policies.candidates import candidates
from offline_tools.policies.judge import Judge
from offline_tools.policies.model import model_of
from offline_tools.policies.paced import PacedRun, run_paced
from offline_tools.policies.plot import plot
from offline_tools.policies.report import notable, slug, to_record, write_json, write_parameters, write_table
from offline_tools.policies.sequences import Labelled, read_sequences
from offline_tools.policies.store import RowStore
from offline_tools.policies.sweep import Limits, Sweep, SweepError, judge_all, sweep

# Two passes may take this share of the time between two frames of the paced run: the rest is letterbox and noise.
_PACED_LOAD = 0.6
# Those of a ZED 2i at 1280x720 (Stereolabs' data sheet).
_CAMERA_RATES_HZ = (15.0, 30.0, 60.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("--data", type=Path, action="append", default=[], help="dataset whose val split is replayed")
    parser.add_argument("--aspect", type=aspect, help="true width:height of its camera, where frames were stretched")
    parser.add_argument("--stereo", type=Path, action="append", default=[],
                        help="folder of `cone-tools scenes drive`")  # fmt: skip
    parser.add_argument("--engines", type=Path, default=Path("engines"), help="folder of engine files (%(default)s)")
    parser.add_argument("--model", default="", help="model to tune for (default: as the node chooses)")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or int8 (%(default)s)")
    parser.add_argument("--costs", type=Path, action="append", default=[],
                        help="of another machine, as `cone-tools benchmark` or `projection` writes")  # fmt: skip
    parser.add_argument("--only-costs", action="store_true",
                        help="judge for the machines of --costs alone; this one's files stay as they are")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=60, help="runs of each pass to time them here (%(default)s)")
    parser.add_argument("--cache", type=Path, help="folder that keeps the networks' rows from run to run")
    parser.add_argument("--paced", type=float, default=0.0, metavar="SECONDS",
                        help="run the chosen policy at camera rate for so long, and count late frames")  # fmt: skip
    parser.add_argument("--rate", type=float, default=0.0,
                        help="of that run in Hz (default: the camera's highest with two passes)")  # fmt: skip
    parser.add_argument("--max-map50-loss", type=float, default=Limits.map50_loss_pt, metavar="POINTS",
                        help="that the chosen policy may lose beside fixed 640 (%(default)s)")  # fmt: skip
    parser.add_argument("--max-far-recall-loss", type=float, default=Limits.far_recall_loss_pt, metavar="POINTS",
                        help="the same of far cones (%(default)s)")  # fmt: skip
    parser.add_argument("--max-cost", type=float, default=Limits.cost_ratio, metavar="RATIO",
                        help="that it should cost at most, over fixed 640 (%(default)s)")  # fmt: skip
    parser.add_argument("--max-p99", type=float, default=Limits.p99_ratio, metavar="RATIO",
                        help="the same of the slowest frame in a hundred (%(default)s)")  # fmt: skip
    parser.add_argument("--budget-ms", type=float, default=Limits.budget_ms, metavar="MS",
                        help="instead: whatever finds most in so much time a pair")  # fmt: skip
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="for JSON, tables and plots (%(default)s)")
    parser.add_argument("--parameters", type=Path, default=Path("config/policies"),
                        help="for a parameter file a machine (%(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    if args.only_costs and (args.paced or not args.costs):
        console.print("[red]--only-costs needs --costs, and no --paced: that runs on this machine")
        return 1
    if args.budget_ms < 0 or (args.budget_ms and args.costs and not (args.only_costs and len(args.costs) == 1)):
        console.print("[red]--budget-ms is of one machine: this one without --costs, or one --costs with --only-costs")
        return 1
    try:
        guard = SplitGuard.load()
        labelled = read_sequences([Source(path, aspect=args.aspect) for path in args.data], args.stereo, guard)
        choice = _choose(args)
        console.print(f"{labelled.frames} frames; engine: {choice.reason}")
        sweeps = _sweep(args, choice, labelled, console)
        paced = _paced(args, choice, labelled, sweeps[0], console) if args.paced else None
    except (DatasetError, EngineError, ManifestError, SweepError, pricing.CostError) as error:
        console.print(f"[red]{error}")
        return 1
    model = model_of(choice)
    for number, one in enumerate(sweeps):
        here = number == 0 and not args.only_costs
        machine = slug(one.costs.machine)
        record, table = ("adaptive", "adaptive_results") if here else (f"adaptive_{machine}",) * 2
        figures = to_record(one, labelled, model, _limits(args), paced if here else None)
        write_json(args.docs / "benchmarks" / f"{record}.json", figures)
        write_table(args.docs / f"{table}.md", one)
        plot(args.docs / f"adaptive_{machine}.png", one)
        console.print(_table(one))
        console.print(f"[bold]{one.reason}[/]; written to {write_parameters(args.parameters, one)}")
    return 0


def _choose(args: argparse.Namespace) -> Choice:
    passes = (LOW, HIGH)
    return choose(args.engines, passes, "auto", args.model, args.precision)


def _sweep(args: argparse.Namespace, choice: Choice, labelled: Labelled, console: Console) -> list[Sweep]:
    engine = load(choice, 1)
    here = [] if args.only_costs else [pricing.measure(engine, args.rounds)]
    others = [pricing.read(file, choice.candidate.model, choice.candidate.precision) for file in args.costs]
    file = args.cache / f"{model_of(choice)['sha256'][:16]}-{labelled.sha256[:16]}.npz" if args.cache else None
    store = RowStore(engine, file)
    try:
        todo = candidates(engine.manifests)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("policies", total=len(todo))
            outcomes = judge_all(Judge(store, labelled), todo, lambda _: progress.advance(task))
    finally:
        store.save()
        store.close()
    return [sweep(outcomes, costs, _limits(args)) for costs in (*here, *others)]


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(args.max_map50_loss, args.max_far_recall_loss, args.max_cost, args.max_p99, args.budget_ms)


def _paced(args: argparse.Namespace, choice: Choice, labelled: Labelled, found: Sweep, console: Console) -> PacedRun:
    two_passes = float(found.costs.per_frame(found.chosen.outcome.passes).max())
    rate = args.rate or camera_rate(two_passes)
    console.print(f"{args.paced:.0f} s at {rate:.1f} Hz")
    result = run_paced(load(choice, slots_needed(1)), labelled, found.chosen.candidate.changes, rate, args.paced)
    console.print(f"{result.frames} frames, {result.late} late, {result.misses} because of a second pass")
    return result


def camera_rate(two_passes_ms: float) -> float:
    """The camera's highest rate, in Hz, at which two passes of so long leave time for the rest of a frame's work."""
    fitting = [rate for rate in _CAMERA_RATES_HZ if rate * two_passes_ms <= 1e3 * _PACED_LOAD]
    return max(fitting, default=min(_CAMERA_RATES_HZ))


def _table(found: Sweep) -> Table:
    table = Table(title=f"{found.costs.machine}: break-even at {found.costs.break_even:.0%} escalated")
    for column in ("policy", "cost", "p99", "second pass", "mAP50", "far recall", "near recall"):
        table.add_column(column)
    for one in notable(found):
        outcome = one.outcome
        shares = (outcome.escalation_rate, outcome.map50, outcome.recall_far, outcome.recall_near)
        costs = f"{one.cost_ratio:.2f} x", f"{one.p99_ratio:.2f} x"
        table.add_row(one.candidate.name, *costs, *(f"{100 * share:.1f}" for share in shares))
    return table
