# SPDX-License-Identifier: Apache-2.0
"""`cone-replay`: how fast the detector is on a bag, through ROS or directly; plays bags; compares reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError
from cone_detector.frames import FrameError
from cone_detector.paths import shared
from cone_detector.replay.bag_topics import BagError, StereoTopics
from cone_detector.replay.compare import ReportError, print_comparison, read_report
from cone_detector.replay.parameters import parse_parameters
from cone_detector.replay.processes import ReplayError, end_children_on_sigterm
from cone_detector.settings import SettingError

MODES = ("ros", "direct", "paced")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    # The player is a ROS process with its own arguments.
    if given[:1] == ["play"]:
        from cone_detector.ros.player import main as play

        return play(given[1:])
    given, ros_arguments = _split_ros(given)
    options = _parser().parse_args(given)
    options.ros_arguments = ros_arguments
    end_children_on_sigterm()
    faults = (BagError, FrameError, SettingError, EngineError, ManifestError, ReplayError, ReportError)
    try:
        run: Callable[[argparse.Namespace], int] = options.command
        return run(options)
    except faults as error:
        print(f"cone-replay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from cone_detector.replay.plots import plot_latency
    from cone_detector.replay.report import print_summary, summarize, write_json

    settings = parse_parameters(options.param)
    topics = StereoTopics(options.left, options.right, options.side_by_side)
    if options.mode == "ros":
        from cone_detector.replay.through_ros import RosReplay, replay

        plan = RosReplay(
            options.bag,
            topics,
            options.rate,
            options.seconds,
            options.attach,
            settings,
            options.ros_arguments,
            options.output,
        )
        recording, _, _ = replay(plan)
    else:
        from cone_detector.replay.direct import run_direct

        recording = run_direct(options.bag, topics, settings, options.mode == "paced", options.rate, options.seconds)
    summary = summarize(recording)
    print_summary(summary)
    write_json(options.output / "replay.json", summary)
    pictures = plot_latency(summary, options.output)
    print("\n".join(str(path) for path in (options.output / "replay.json", *pictures)))
    return 0


def _bench_node(options: argparse.Namespace) -> int:
    from cone_detector.replay.bench_node import bench_node, write_node_figures

    figures = bench_node(
        options.bag, options.seconds, options.rate, options.latency_ms, options.queue_depth, options.logs
    )
    table = write_node_figures(figures, options.output)
    print(table.read_text())
    print(options.output, table, sep="\n")
    return 0


def _bench_cpu(options: argparse.Namespace) -> int:
    from cone_detector.replay.bench_cpu import CpuPlan, bench_cpu
    from cone_detector.replay.report import write_json

    plan = CpuPlan(
        options.bag,
        parse_parameters(options.param),
        options.python,
        options.weights,
        options.images,
        options.rounds,
        options.pairs,
    )
    figures = bench_cpu(plan)
    write_json(options.output, figures)
    print(options.output.read_text())
    return 0


def _compare(options: argparse.Namespace) -> int:
    print_comparison(read_report(options.before), read_report(options.after))
    return 0


def _split_ros(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Ours, and those from --ros-args on, which launch adds."""
    if "--ros-args" not in arguments:
        return arguments, []
    at = arguments.index("--ros-args")
    return arguments[:at], arguments[at:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cone-replay", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="replay a bag and report latency, drops and cones")
    run.set_defaults(command=_run)
    run.add_argument("bag", type=Path, help="rosbag2 folder, or one .mcap or .db3 file")
    run.add_argument(
        "--mode",
        choices=MODES,
        default="ros",
        help="ros: at camera rate through the real node; direct: the core, back to back; "
        "paced: the core at camera rate",
    )
    run.add_argument("--rate", type=float, default=0.0, help="pairs a second; 0: as recorded")
    run.add_argument("--seconds", type=float, default=0.0, help="loop over the bag for so long; 0: play it once")
    run.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the node; with --attach one that it was given, for the record",
    )
    run.add_argument("--attach", action="store_true", help="measure the node that runs already (mode ros)")
    run.add_argument("--output", type=Path, default=Path("replay_output"), help="folder for JSON, plots and logs")
    for name in ("left", "right", "side-by-side"):
        run.add_argument(f"--{name}", default="", metavar="TOPIC", help="image topic in the bag; empty: found by name")
    commands.add_parser("play", help="play a bag like a camera (see cone-replay play --help)")
    compare = commands.add_parser("compare", help="two reports side by side")
    compare.set_defaults(command=_compare)
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    _bench_options(commands)
    return parser


def _bench_options(commands: argparse._SubParsersAction) -> None:
    node = commands.add_parser("bench-node", help="the node at camera rate with a stand-in engine: loss, age, memory")
    node.set_defaults(command=_bench_node)
    node.add_argument("--bag", type=Path, default=shared("config") / "sample")
    node.add_argument("--seconds", type=float, default=600.0)
    node.add_argument("--rate", type=float, default=60.0)
    node.add_argument("--latency-ms", type=float, default=1.0, help="of one pass of the stand-in engine")
    node.add_argument(
        "--queue-depth", type=int, default=3, help="the node's queue.depth: 1 drops a pair wherever two come at once"
    )
    node.add_argument("--output", type=Path, default=Path("docs/benchmarks/node_60hz.json"))
    node.add_argument("--logs", type=Path, default=Path("replay_output"), help="folder of the processes' logs")
    cpu = commands.add_parser("bench-cpu", help="the pipeline on a CPU against bare inference and ultralytics")
    cpu.set_defaults(command=_bench_cpu)
    cpu.add_argument("--bag", type=Path, default=shared("config") / "sample")
    cpu.add_argument("--python", type=Path, required=True, help="Python of an environment with ultralytics")
    cpu.add_argument("--weights", type=Path, required=True, help=".pt of the model that the engine was made from")
    cpu.add_argument("--images", type=Path, required=True, help="folder that ultralytics calibrates its INT8 with")
    cpu.add_argument("--rounds", type=int, default=60, help="turns of four pairs for each")
    cpu.add_argument("--pairs", type=int, default=24, help="pairs of the bag to use")
    cpu.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the detector")
    cpu.add_argument("--output", type=Path, default=Path("docs/benchmarks/cpu_pipeline.json"))


if __name__ == "__main__":
    sys.exit(main())
