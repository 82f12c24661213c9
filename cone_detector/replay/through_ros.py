# SPDX-License-Identifier: Apache-2.0
"""A bag through the real node: player and node are processes of their own, this one listens like the car."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cone_detector.replay.bag_topics import StereoTopics
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.processes import Child, ReplayError, ros_environment, running
from cone_detector.replay.records import Recording
from cone_detector.settings import BY_NAME, INPUTS, SettingError, Value

if TYPE_CHECKING:
    from cone_detector.ros.recorder import Answer, Recorder

NODE_MODULE, PLAYER_MODULE = "cone_detector.node", "cone_detector.ros.player"

# Loading engines may take a while on a slow disk; a replay has nothing to do until then.
_START_S = 120.0
# A node that was started beside the replay loads its engines meanwhile.
_ATTACH_S = 60.0


@dataclass(frozen=True)
class RosReplay:
    """How to replay. rate_hz: 0 plays as recorded. seconds: 0 plays the bag once. attach: to a node that runs already.

    settings: parameters of the node that is started, or, with attach, that it was given. ros_arguments: for the player
    and the listener, as remappings. logs: folder of the processes' logs.
    """

    bag: Path
    topics: StereoTopics
    rate_hz: float
    seconds: float
    attach: bool
    settings: Mapping[str, Value]
    ros_arguments: list[str]
    logs: Path
    node_module: str = NODE_MODULE


def replay(plan: RosReplay) -> tuple[Recording, dict[int, int], list[Answer]]:
    """Plays the bag and listens.

    Returns the recording, the bag's pair number by stamp, and all complete answers. Raises BagError, SettingError
    where the node would not hear the player, or ReplayError where a process fails.
    """
    _check_heard(plan.settings)
    # A bag that cannot serve is said at once, without a node.
    StereoBag(plan.bag, plan.topics).close()
    # The listener lives in this process and reads the same variables.
    variables = ros_environment(own_domain=not plan.attach)
    os.environ.update(variables)
    from cone_detector.ros.recorder import Recorder, record_of_answer

    stamps_file = plan.logs / "stamps.json"
    with ExitStack() as stack:
        node = None
        if not plan.attach:
            node = stack.enter_context(
                running("node", plan.node_module, node_arguments(plan.settings), plan.logs / "node.log", variables)
            )
        recorder = Recorder(plan.ros_arguments)
        stack.callback(recorder.close)
        _wait_for_node(recorder, node)
        arguments = [str(plan.bag), f"--rate={plan.rate_hz}", f"--seconds={plan.seconds}", f"--stamps={stamps_file}"]
        arguments += [f"--left={plan.topics.left}", f"--right={plan.topics.right}"]
        arguments += [f"--side-by-side={plan.topics.side_by_side}", *(["--loop"] if plan.seconds else [])]
        arguments += ["--compressed"] if plan.settings.get("input.compressed") else []
        arguments += [f"--wait={_START_S}", *plan.ros_arguments]
        player = stack.enter_context(running("player", PLAYER_MODULE, arguments, plan.logs / "player.log", variables))
        _wait_for(player, node)
        recorder.wait_until_quiet()
        if node is not None:
            node.check()
        answers = [answer for answer in recorder.answers.values() if answer.complete]

    told = player.events()
    if "done" not in told:
        raise ReplayError(f"the player was stopped; {player.log} says:\n{player.last_words()}")
    numbers = {int(stamp): number for stamp, number in json.loads(stamps_file.read_text())}
    answers = [answer for answer in answers if answer.stamp_ns in numbers]
    begin_ns = min(numbers, default=0)
    recording = Recording("through ROS", str(plan.bag), told["ready"]["rate_hz"], recorder.engine, dict(plan.settings))
    recording.sent = told["done"]["sent"]
    recording.frames = sorted((record_of_answer(a, begin_ns) for a in answers), key=lambda frame: frame.time_s)
    recording.seconds = recording.frames[-1].time_s if recording.frames else 0.0
    if late := told["done"]["late"]:
        recording.notes.append(
            f"the player was late {late} times: this machine is too busy for {recording.rate_hz:g} Hz"
        )
    if not answers:
        raise ReplayError("the node answered no pair" + (f"; {node.log} says:\n{node.last_words()}" if node else ""))
    return recording, numbers, answers


def _check_heard(settings: Mapping[str, Value]) -> None:
    """Raises SettingError for what keeps the node from what is played: two images, under the default names."""
    for name, value in settings.items():
        # Compressed images are played as such where the node is told to take them.
        played_so = name == "input.compressed" or value == BY_NAME[name].default
        if name.startswith(INPUTS) and not played_so:
            raise SettingError(
                f"{name} is '{value}': a bag is played as two images under the default names; leave it out, or remap"
            )


def node_arguments(settings: Mapping[str, Value]) -> list[str]:
    """Command line of the node with these parameters."""
    from cone_detector.ros.arguments import to_text

    arguments = ["--ros-args"] if settings else []
    for name, value in settings.items():
        arguments += ["-p", f"{name}:={_quoted(to_text(value)) if isinstance(value, str) else to_text(value)}"]
    return arguments


def _quoted(text: str) -> str:
    """As a YAML string: a path or name must not be taken for a number."""
    return json.dumps(text)


def _wait_for_node(recorder: Recorder, node: Child | None) -> None:
    """Raises ReplayError where no node can be heard."""
    end = time.monotonic() + (_START_S if node else _ATTACH_S)
    while not recorder.wait_for_node(0.2):
        if node is not None:
            node.check()
        if time.monotonic() > end or (node is not None and not node.running):
            raise ReplayError(
                "no running node can be heard: are its topics and ROS_DOMAIN_ID the same?"
                + (f"; {node.log} says:\n{node.last_words()}" if node else "")
            )


def _wait_for(player: Child, node: Child | None) -> None:
    while player.running:
        time.sleep(0.05)
        if node is not None:
            node.check()
            if not node.running:
                raise ReplayError(f"the node ended; {node.log} says:\n{node.last_words()}")
    player.check()
