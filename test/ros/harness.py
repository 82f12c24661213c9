# SPDX-License-Identifier: Apache-2.0
"""The other side of the node: its process, cameras that publish, and a record of all that it answers."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from engines import paint
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

# Only a bound on how long a broken node holds up the tests; nothing is asserted about time.
PATIENCE_S = 30.0
RESEND_S = 3.0

SIZE = (1280, 720)
FOCAL, BASELINE = 700.0, 0.12
FRAME_IDS = ("zed_left_camera_frame_optical", "zed_right_camera_frame_optical")

OUTPUTS = {
    "detections/left": Detection2DArray,
    "detections/right": Detection2DArray,
    "cones": Detection3DArray,
    "cones/points": PointCloud2,
    "cones/markers": MarkerArray,
    "latency": DiagnosticArray,
    "latency/total_ms": Float32,
    "latency/inference_ms": Float32,
    "latency/age_ms": Float32,
    "/diagnostics": DiagnosticArray,
}


class NodeProcess:
    """The node as a user starts it. Its output is in `log`."""

    def __init__(self, program: tuple[str, ...] = ("-m", "cone_detector.node"), **parameters: Any) -> None:
        """program: what Python is given to run, where it is not the node itself."""
        arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={_yaml(value)}")]
        self._output = tempfile.NamedTemporaryFile("w")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, *program, "--ros-args", *arguments],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).resolve().parents[2],
        )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
        self._output.close()

    @property
    def log(self) -> str:
        return Path(self._output.name).read_text()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the node did not end:\n{self.log}") from None

    def wait_for_log(self, text: str) -> str:
        """The log, once `text` is in it."""
        return until(lambda: text in self.log and self.log, f"'{text}' in the log", lambda: self.log)


class Rig:
    """A ROS node of the test, spinning in a thread."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("rig")
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._clients: dict[str, Any] = {}
        self._subscriptions = {
            topic: self.node.create_subscription(kind, topic, self.received[topic].append, reliable)
            for topic, kind in OUTPUTS.items()
        }
        self.images = [self.node.create_publisher(Image, f"{side}/image", reliable) for side in ("left", "right")]
        self.infos = [
            self.node.create_publisher(CameraInfo, f"{side}/camera_info", reliable) for side in ("left", "right")
        ]
        self._last_ns = 0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()

    def now_ns(self) -> int:
        """A stamp later than all before."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1_000_000)
        return self._last_ns

    def record(self, topic: str, kind: Any) -> None:
        """Also keeps what comes on `topic`."""
        self._subscriptions[topic] = self.node.create_subscription(kind, topic, self.received[topic].append, 10)

    def forget(self, topic: str) -> None:
        """Takes the subscription to `topic` back."""
        self.node.destroy_subscription(self._subscriptions.pop(topic))
        self.received[topic].clear()

    def publish(self, side: int, message: Image | CompressedImage) -> None:
        self.images[side].publish(message)

    def publish_pair(
        self, left: np.ndarray, right: np.ndarray, stamp_ns: int = 0, skew_ns: int = 0, encoding: str = "bgr8"
    ) -> int:
        """Publishes both images with one stamp, now by default; returns it."""
        stamp_ns = stamp_ns or self.now_ns()
        for side, (pixels, stamp) in enumerate(((left, stamp_ns), (right, stamp_ns + skew_ns))):
            self.publish(side, image_of(pixels, stamp, FRAME_IDS[side], encoding))
        return stamp_ns

    def publish_infos(self, width: int = SIZE[0], height: int = SIZE[1], baseline: float = BASELINE) -> None:
        """Publishes a calibration of a rectified pair, FOCAL pixels of focal length."""
        for side, publisher in enumerate(self.infos):
            info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
            info.header.frame_id = FRAME_IDS[side]
            cx, cy, tx = width / 2, height / 2, -FOCAL * baseline * side
            info.k = [FOCAL, 0.0, cx, 0.0, FOCAL, cy, 0.0, 0.0, 1.0]
            info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
            info.p = [FOCAL, 0.0, cx, tx, 0.0, FOCAL, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
            publisher.publish(info)

    def wait(self, topic: str, stamp_ns: int, nth: int = 0) -> Any:
        """The message on `topic` that bears this stamp; nth: after so many others with it."""

        def find() -> Any:
            return [m for m in list(self.received[topic]) if ns_of(m.header.stamp) == stamp_ns][nth : nth + 1]

        return until(find, f"{topic} of stamp {stamp_ns}", self._last_report)[0]

    def has(self, topic: str, stamp_ns: int) -> bool:
        """Whether a message with this stamp has come."""
        return any(ns_of(m.header.stamp) == stamp_ns for m in list(self.received[topic]))

    def until_received(self, topic: str, accept: Callable[[Any], bool]) -> Any:
        """A message on `topic` that `accept` takes."""
        return until(lambda: next((m for m in list(self.received[topic]) if accept(m)), None), f"such a {topic}")

    def until_answered(self, send: Callable[[], int], *topics: str, context: Callable[[], str] = lambda: "") -> int:
        """The first stamp that is answered on all `topics`: `send` sends a pair and returns its stamp, over and over.

        For who has only just begun to listen: until both sides have discovered each other, pairs are lost.
        """
        sent = []

        def try_once() -> int:
            sent.append(send())
            time.sleep(0.2)
            return next((stamp for stamp in sent if all(self.has(topic, stamp) for topic in topics)), 0)

        return until(try_once, f"a first answer on {', '.join(topics)}", context)

    def answers(self, stamp_ns: int, *topics: str) -> list[Any]:
        """The messages of one stamp, by default the detections of both cameras."""
        return [self.wait(topic, stamp_ns) for topic in topics or ("detections/left", "detections/right")]

    def meet(self, node: NodeProcess) -> None:
        """Waits until the node answers pairs: both sides have discovered each other."""
        blank = blank_image()

        def send() -> int:
            assert node.process.poll() is None, f"the node has ended:\n{node.log}"
            return self.publish_pair(blank, blank)

        self.until_answered(send, "detections/left", "detections/right", "latency", context=lambda: node.log)

    def status(self, part: str, accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next report of /diagnostics on `part` that `accept` takes."""
        return self.status_while(lambda: None, part, accept)

    def status_while(self, act: Callable[[], None], part: str, accept: Callable[[Any], bool]) -> Any:
        """As `status`, with `act` called over and over until then."""
        name, begin = f"cone_detector: {part}", len(self.received["/diagnostics"])

        def find() -> Any:
            act()
            fresh = [s for m in self.received["/diagnostics"][begin:] for s in m.status]
            return next((s for s in fresh if s.name == name and accept(s)), None)

        return until(find, f"such a report on {part}", self._last_report)

    def _last_report(self) -> str:
        return "\n".join(
            f"{s.name}: {s.message} {values_of(s)}" for m in self.received["/diagnostics"][-1:] for s in m.status
        )

    def call(self, service: str, kind: Any, request: Any = None, once: bool = False) -> Any:
        """The response of a service of the node.

        A service can be there before it knows its new client; its answer is then lost, so the request is sent again
        every few seconds, unless it may be sent only `once`.
        """
        futures = [self._begin(service, kind, request)]
        resend_at = time.monotonic() + RESEND_S

        def answered() -> Any:
            nonlocal resend_at
            if not once and time.monotonic() > resend_at:
                futures.append(self._begin(service, kind, request))
                resend_at = time.monotonic() + RESEND_S
            return next((future for future in futures if future.done()), None)

        return until(answered, f"an answer of service {service}").result()

    def _begin(self, service: str, kind: Any, request: Any = None) -> Any:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, f"/cone_detector/{service}")
        client = self._clients[service]
        until(client.service_is_ready, f"service {service}")
        return client.call_async(request or kind.Request())

    def set_parameter(self, name: str, value: Any) -> Any:
        """The SetParametersResult."""
        parameter = RclpyParameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return self.call("set_parameters", SetParameters, request).results[0]

    def get_parameter(self, name: str) -> ParameterValue:
        return self.call("get_parameters", GetParameters, GetParameters.Request(names=[name])).values[0]

    def describe_parameter(self, name: str) -> Any:
        request = DescribeParameters.Request(names=[name])
        return self.call("describe_parameters", DescribeParameters, request).descriptors[0]

    def transition(self, name: str) -> bool:
        """Whether a lifecycle transition succeeded. name: as in lifecycle_msgs/Transition."""
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call("change_state", ChangeState, request, once=True).success

    def state(self) -> str:
        return self.call("get_state", GetState).current_state.label

    def enable(self, on: bool) -> Any:
        return self.call("enable", SetBool, SetBool.Request(data=on))

    def reload(self) -> Any:
        return self.call("reload", Trigger, once=True)

    def begin_reload(self) -> Any:
        """The future of a reload."""
        return self._begin("reload", Trigger)


def until(find: Callable[[], Any], what: str, context: Callable[[], str] = lambda: "") -> Any:
    """What `find` returns, once that is true."""
    end = time.monotonic() + PATIENCE_S
    while not (found := find()):
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {PATIENCE_S:g} s\n{context()}")
        time.sleep(0.01)
    return found


def blank_image(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    return np.full((height, width, 3), 60, np.uint8)


def painted(*cones: tuple[int, tuple[int, int, int, int]]) -> np.ndarray:
    """A camera image with patches: (class, box)."""
    image = blank_image()
    for label, box in cones:
        paint(image, label, box)
    return image


def image_of(pixels: np.ndarray, stamp_ns: int, frame_id: str = FRAME_IDS[0], encoding: str = "bgr8") -> Image:
    """An Image message of pixels as they are."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), frame_id
    message.step = pixels.strides[0]
    message.data.frombytes(np.ascontiguousarray(pixels).tobytes())
    return message


def jpeg_of(pixels: np.ndarray, stamp_ns: int, frame_id: str = FRAME_IDS[0]) -> CompressedImage:
    """A CompressedImage message; PNG, so that colours stay exact."""
    message = CompressedImage(format="bgr8; png compressed bgr8")
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), frame_id
    message.data.frombytes(cv2.imencode(".png", pixels)[1].tobytes())
    return message


def boxes_of(message: Detection2DArray) -> dict[str, tuple[float, float, float, float]]:
    """Corners of each detection by class name."""
    found = {}
    for detection in message.detections:
        centre, box = detection.bbox.center.position, detection.bbox
        x1, y1 = centre.x - box.size_x / 2, centre.y - box.size_y / 2
        found[detection.results[0].hypothesis.class_id] = (x1, y1, x1 + box.size_x, y1 + box.size_y)
    return found


def values_of(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def ns_of(stamp: Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def time_of(ns: int) -> Time:
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, (str, Path)) else str(value)
