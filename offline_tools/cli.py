# SPDX-License-Identifier: AGPL-3.0-only
"""`cone-tools`: from labelled frames to engines for the car.

in the order of the work:

  cone-tools data check ../shared/data/fs_onboard      what the data is made of and what is wrong with it
  cone-tools data register ../shared/data/fs_onboard   from now on nobody trains on its test split
  cone-tools train config/train/cones.yaml             weights in runs/
  cone-tools export runs/yolo11n/640/weights/best.pt --pass 640 --model yolo11n
  cone-tools quantize engines/yolo11n-640.json --data ../shared/data/fs_onboard --aspect 16:9
  cone-tools evaluate engines/*.json --data ../shared/data/fs_onboard --aspect 16:9 --split val

`cone-tools COMMAND --help` explains each. Exit codes: 0 done, 1 failed or refused with a reason, 2 wrong options.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

# The module of each command has `add_arguments(parser)` and `run(args)`; only the chosen one is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("offline_tools.commands.data", "check a dataset, register its test split, prepare it for training"),
    "scenes": ("offline_tools.scenes.command", "render synthetic stereo scenes with exact labels"),
    "train": ("offline_tools.commands.train", "train a detector from a configuration file"),
    "sweep": ("offline_tools.commands.sweep", "try many settings of a training configuration, say what mattered"),
    "campaign": ("offline_tools.campaign.command", "from a dataset to a decided, measured engine, in phases"),
    "regnet-search": ("offline_tools.commands.regnet_search", "rank RegNet backbones for a budget"),
    "compare": ("offline_tools.commands.compare", "training runs in one table, on val"),
    "average": ("offline_tools.commands.average", "the mean of several trainings' weights, as one network"),
    "export": ("offline_tools.commands.export", "weights to the ONNX of the engine contract"),
    "quantize": ("offline_tools.commands.quantize", "float ONNX to INT8, for a CPU and for TensorRT"),
    "sensitivity": ("offline_tools.commands.sensitivity", "which part of a network loses accuracy in INT8"),
    "build": ("offline_tools.build.command", "ONNX to TensorRT plans for this machine's GPU"),
    "evaluate": ("offline_tools.commands.evaluate", "accuracy of engine files through the car's own detector"),
    "final": ("offline_tools.commands.final", "the node as it drives, all passes together, on the test split: once"),
    "policies": ("offline_tools.policies.command", "tune the adaptive settings on labelled sequences"),
    "stereo": ("offline_tools.stereo_benchmark.command", "accuracy and cost of cones in space"),
    "report": ("offline_tools.report.command", "the campaign's report, as HTML and PDF, from the records of runs"),
    "benchmark": ("offline_tools.benchmark", "what each TensorRT plan costs on this GPU"),
    "projection": ("offline_tools.projection", "what an RTX 4060 would take, simulated from that"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. A refusal is one line on stderr, without a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = arguments[0] if arguments else ""
    parser = argparse.ArgumentParser(
        prog="cone-tools", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        description = summary
        if name == chosen:
            found = _import(module)
            if found is None:
                return 1
            description = (found.__doc__ or summary).strip()
        sub = commands.add_parser(
            name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == chosen:
            found.add_arguments(sub)
            sub.set_defaults(run=found.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except (ValueError, RuntimeError, OSError) as error:
        # Errors of this project say what is wrong and how to mend it; a traceback would bury that.
        print(f"cone-tools {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _import(module: str):  # type: ignore[no-untyped-def]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("offline_tools", "cone_detector"):
            raise
        print(
            f"cone-tools: this command needs {error.name}: "
            "pip install -r config/requirements/offline.txt in an environment of its own",
            file=sys.stderr,
        )
        return None


if __name__ == "__main__":
    sys.exit(main())
