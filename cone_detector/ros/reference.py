# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference.md from the code: `python -m cone_detector.ros.reference > docs/reference.md`.

Parameters come from the table of settings. Topics and services are those that the node's own parts create, asked of
the parts themselves; a topic without a description here is an error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cone_detector.frames import ENCODINGS
from cone_detector.latency import STAGES
from cone_detector.ros.arguments import to_text
from cone_detector.settings import SETTINGS, Setting

NAMESPACE = "/ns"

DESCRIPTIONS = {
    # Subscribed
    "left/image": f"Left camera, rectified or with its calibration; {', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}.",
    "right/image": "Right camera.",
    "side_by_side/image": "Both images side by side, in `input.mode` side_by_side, instead of the two above.",
    "left/camera_info": "Calibration of the left camera; without both there is 2D only.",
    "right/camera_info": "Calibration of the right camera.",
    "/tf": "Where the camera sits, as far as /tf_static does not say.",
    "/tf_static": "Where the camera sits.",
    # Published
    "detections/left": "Cones of the left image: boxes in its own pixels, class name in `hypothesis.class_id`.",
    "detections/right": "Cones of the right image.",
    "cones": "Cones in space, each with its covariance; empty where there is no 3D: /diagnostics says why.",
    "cones/points": "The same as points, while somebody subscribes.",
    "cones/markers": "The same as markers for RViz and Foxglove, coloured by class, while somebody subscribes.",
    "image_annotated": "Both images with boxes and classes, while somebody subscribes.",
    "latency": "One message per pair: every stage in milliseconds, the passes that ran and why.",
    "latency/total_ms": "From the second image's arrival to the published result, for plots.",
    "latency/inference_ms": "The inference of all passes, for plots.",
    "latency/age_ms": "From the images' stamp to the published result, for plots.",
    "/diagnostics": "State, rates, losses, faults and what to do, once a second ([diagnostics](diagnostics.md)).",
    # Services
    "~/enable": "false: images are ignored and nothing is published, until true.",
    "~/reload": "Loads the engines anew; the old ones serve until the new ones are ready, or stay.",
}


def main() -> int:
    """Print the reference; returns a process exit code."""
    print(reference(), end="")
    return 0


def reference() -> str:
    """The whole page, as Markdown."""
    subscribed, published, services = _interfaces()
    lines = [
        "# Reference of the node",
        "",
        "Written by `python -m cone_detector.ros.reference > docs/reference.md`; a test fails where it is out of date.",
        "Names without a leading slash lie in the node's namespace.",
        "",
        "## Subscribed topics",
        *_interface_table(subscribed),
        "",
        "Each of the image and calibration topics is a parameter (`topics.*`); with `input.compressed` images are",
        "sensor_msgs/msg/CompressedImage.",
        "",
        "## Published topics",
        *_interface_table(published),
        "",
        "Every processed pair is answered, an empty one too, with the stamp and frame of its own image; cones have the "
        "left one's stamp.",
        "",
        "## Services",
        *_interface_table(services),
        "",
        "The node is a lifecycle node: `ros2 lifecycle set` works on it as usual.",
        "",
        "## Stages of `latency`",
        "",
        f"In the order of the work: {', '.join(f'`{stage}_ms`' for stage in STAGES)}. [Reading them](latency.md).",
        "",
        "## Parameters",
        *_parameter_tables(),
    ]
    return "\n".join(lines) + "\n"


def _parameter_tables() -> Iterator[str]:
    group = None
    for setting in SETTINGS:
        prefix = setting.name.partition(".")[0] if "." in setting.name else "general"
        prefix = "confidence" if prefix in ("class_confidence", "nms_iou", "nms_iou_across_classes") else prefix
        if prefix != group:
            group = prefix
            yield from ("", "| name | default | range | live | meaning |", "| --- | --- | --- | --- | --- |")
        live = "yes" if setting.live else "reload" if setting.name.startswith("engine.") else "no"
        default = f"`{to_text(setting.default)}`" if setting.default != "" else "empty"
        yield f"| `{setting.name}` | {default} | {_range(setting)} | {live} | {setting.doc} |"
    yield ""
    yield "live: yes, a change counts from the next pair on; reload, from the next call of `~/reload`; no, when the"
    yield "node is configured."


def _range(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(setting.choices)
    if setting.low is None or setting.high is None:
        return "true, false" if isinstance(setting.default, bool) else ""
    return f"{setting.low:g} to {setting.high:g}"


def _interface_table(interfaces: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from ("", "| name | type | what |", "| --- | --- | --- |")
    order = list(DESCRIPTIONS)
    for name, kind in sorted(interfaces, key=lambda pair: order.index(pair[0])):
        yield f"| `{name}` | {kind} | {DESCRIPTIONS[name]} |"


Interfaces = set[tuple[str, str]]


def _interfaces() -> tuple[Interfaces, Interfaces, Interfaces]:
    """Names and types of what the node subscribes, publishes and serves, asked of its parts."""
    import rclpy

    from cone_detector.node import ConeDetectorNode
    from cone_detector.ros.calibration import CalibrationWatch
    from cone_detector.ros.inputs import Inputs
    from cone_detector.ros.outputs import Outputs
    from cone_detector.ros.transforms import CameraPlacement
    from cone_detector.settings import Settings

    def ignore(*_: Any, **__: Any) -> None:
        return None

    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    rclpy.init(args=["--ros-args", "-r", f"__ns:={NAMESPACE}"])
    try:
        node = ConeDetectorNode()
        placement = CameraPlacement(node, str(Settings()["stereo.target_frame"]))
        outputs = Outputs(node, placement, ignore)
        placement.open()
        CalibrationWatch(node, Settings(), ignore).open()
        for mode in _modes():
            Inputs(node, Settings({"input.mode": mode}), ignore, ignore).open()
        found = (
            {(s.topic_name, _type_name(s.msg_type)) for s in node.subscriptions},
            {(p.topic_name, _type_name(p.msg_type)) for p in node.publishers},
            {(s.service_name, _type_name(s.srv_type)) for s in node.services},
        )
        outputs.destroy()
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    subscribed, published, services = ({(_short(name), kind) for name, kind in part} for part in found)
    return subscribed, _ours(published), _ours(services)


def _modes() -> tuple[str, ...]:
    return next(setting.choices for setting in SETTINGS if setting.name == "input.mode")


def _short(name: str) -> str:
    return name.replace(f"{NAMESPACE}/cone_detector/", "~/").removeprefix(f"{NAMESPACE}/")


def _ours(interfaces: Interfaces) -> Interfaces:
    """Without what every node, or every lifecycle node, has."""
    common = ("rcl_interfaces", "lifecycle_msgs", "type_description_interfaces", "rosgraph_msgs")
    return {(name, kind) for name, kind in interfaces if not kind.startswith(common)}


def _type_name(kind: type) -> str:
    package, folder = kind.__module__.split(".")[:2]
    return f"{package}/{folder}/{kind.__name__}"


if __name__ == "__main__":
    sys.exit(main())
