# SPDX-License-Identifier: AGPL-3.0-only
"""The node as it drives, all passes of its policy together, on the test split: once, when nothing is tuned any more.

`cone-tools evaluate --split test` sees one engine file alone. This sees what a policy makes of several, clip by clip,
at the node's default settings or with other ones of policy.*. The look is recorded in the ledger, and a second one of
the same policy, engine and images is refused.

  cone-tools final --data DATASET --aspect 16:9
  cone-tools final --data DATASET --aspect 16:9 --engines my_engines --param policy.name=zoom
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from cone_detector.adaptive import resolved
from cone_detector.adaptive.passes import passes_of
from cone_detector.engine.select import choose_for, load
from cone_detector.replay.parameters import parse_parameters
from cone_detector.settings import Settings
from offline_tools.commands.options import add_source, guard_of, source_of
from offline_tools.ledger import DEFAULT_LEDGER
from offline_tools.policies.final import look, read, write
from offline_tools.policies.judge import Judge
from offline_tools.policies.model import model_of
from offline_tools.policies.sequences import read_sequences
from offline_tools.policies.store import RowStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    add_source(parser)
    parser.add_argument("--engines", type=Path, default=Path("engines"), help="folder of engine files (%(default)s)")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of policy.* than the default",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=DEFAULT_LEDGER.with_name("policy_test.json"),
        metavar="FILE",
        help="add to this file (%(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="look at test a second time, marked for good")
    parser.add_argument("--ledger", type=Path, default=DEFAULT_LEDGER, help="(%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    console = Console()
    read(args.json)  # a look that cannot be written down is not taken
    settings = Settings(parse_parameters(args.param))
    labelled = read_sequences([source_of(args)], [], guard_of(args), final=True)
    choice = choose_for(settings, args.engines, ("320", "640"))
    console.print(f"{labelled.frames} frames; engine: {choice.reason}")
    store = RowStore(load(choice, 1))
    try:
        settings = resolved(settings, store.manifests)
        model = model_of(choice, passes_of(settings))
        found = look(Judge(store, labelled), labelled, settings, model, args.force, args.ledger)
    finally:
        store.close()
    write(args.json, found)
    console.print(
        f"test, {' and '.join(found['passes'])}: mAP50 {found['map50']:.3f}, mAP50-95 {found['map50_95']:.3f}, "
        f"far recall {found['recall_far']:.3f}, near recall {found['recall_near']:.3f}, "
        f"precision {found['precision']:.3f}"
    )
    return 0
