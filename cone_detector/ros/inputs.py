# SPDX-License-Identifier: Apache-2.0
"""Image subscriptions: a pair of topics or one side-by-side topic, raw or compressed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from time import perf_counter_ns
from typing import Protocol

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from cone_detector.frames import Frame, FrameError, decode_image, split_side_by_side, view_message
from cone_detector.pairing import RIGHT, PairingCounts, images_held
from cone_detector.ros.decoding import Decoding
from cone_detector.ros.malloc import reserve
from cone_detector.ros.qos import QUIET_SUBSCRIPTION, Wanted, find_misfits, image_qos, image_topics
from cone_detector.ros.statistics import StreamWatch
from cone_detector.settings import Settings

SIDES = ("left", "right")

# Of a ZED 2i's images, 1280x720 bgr8, or bgra8 as its driver sends them; larger ones are met as they come.
_EXPECTED_BYTES = 1280 * 720 * 4
# Images of a camera for which there is memory at hand while they wait in the middleware: a longer history hardly ever
# fills, and touching all its memory would hold up the activation for seconds.
_WAITING_IMAGES = 5


class Offer(Protocol):
    """Takes one camera image, as `Pipeline.offer` does."""

    def __call__(
        self, side: int, stamp_ns: int, frame: Frame, tag: Header, decode_ms: float, arrival_ns: int
    ) -> None: ...


class Inputs:
    """Subscribes to the cameras while open, and hands each image on as a view of the message's memory."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        offer: Offer,
        on_fault: Callable[[str, str], None],
    ) -> None:
        """on_fault: gets the side and what is wrong with an image."""
        self._node = node
        self._offer = offer
        self._on_fault = on_fault
        self._subscriptions: list[Subscription] = []
        self._decoding: Decoding | None = None
        self._side_by_side = settings["input.mode"] == "side_by_side"
        self._kind = CompressedImage if settings["input.compressed"] else Image
        self._qos = image_qos(settings)
        self._topics = ("side_by_side",) if self._side_by_side else ("left_image", "right_image")
        names = [settings[f"topics.{topic}"] for topic in self._topics]
        self.streams = {name: StreamWatch() for name in names}
        self.enabled = True
        self._tolerance_ns = round(settings["sync.tolerance_ms"] * 1e6)
        # Of the images that are paired before they are decoded; None where there is nothing to decode.
        self.undecoded = PairingCounts() if self._kind is CompressedImage else None
        # At most: in the pipeline, in the middleware's histories, and one that rclpy converts.
        waiting = min(self._qos.depth, _WAITING_IMAGES)
        self._images = images_held(settings["queue.depth"]) + len(names) * (waiting + 1) + 1
        # Bytes an image that there is memory for; 0 where they are compressed, and small.
        self._reserved = 0

    def open(self) -> None:
        """Subscribes, with the memory for all images that may pile up at hand."""
        if self._kind is Image and not self._reserved:
            self._reserved = _EXPECTED_BYTES * (2 if self._side_by_side else 1)
            reserve(self._images * self._reserved)
        if self.undecoded is not None:
            self._decoding = Decoding(self._hand_on, self._tolerance_ns, self.undecoded)
        for side, name in enumerate(self.streams):
            self._subscriptions.append(
                self._node.create_subscription(
                    self._kind,
                    name,
                    partial(self._take, side, self.streams[name]),
                    self._qos,
                    event_callbacks=QUIET_SUBSCRIPTION,
                )
            )

    def close(self) -> None:
        """Takes back the subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            decoding.stop()

    def misfits(self) -> list[str]:
        """Publishers from which nothing can arrive, each with the fix."""
        return [line for wanted in self._wanted() for line in find_misfits(self._node, wanted)]

    def missing(self) -> list[str]:
        """One line for each topic that nobody publishes."""
        unserved = [wanted for wanted in self._wanted() if not self._node.count_publishers(wanted.topic)]
        others = ", ".join(image_topics(self._node)) if unserved else ""
        return [
            f"{wanted.topic} has no publisher: start the camera or set {wanted.setting} "
            f"(image topics now: {others or 'none'})"
            for wanted in unserved
        ]

    def _wanted(self) -> list[Wanted]:
        kind = f"sensor_msgs/msg/{self._kind.__name__}"
        return [
            Wanted(subscription.topic_name, kind, self._qos, f"topics.{topic}")
            for subscription, topic in zip(self._subscriptions, self._topics, strict=False)
        ]

    def _take(self, side: int, stream: StreamWatch, message: Image | CompressedImage) -> None:
        arrival_ns, stamp_ns, size = perf_counter_ns(), _stamp_ns(message), len(message.data)
        stream.note(stamp_ns, size)
        if self._reserved and size > self._reserved:
            self._reserved = size
            # It takes as long as several frames: not in the executor.
            Thread(target=reserve, args=(self._images * size,), name="reserve", daemon=True).start()
        if not self.enabled:
            return
        if self._decoding is None:
            self._hand_on(side, arrival_ns, message)
            return
        self._decoding.put(side, stamp_ns, arrival_ns, message)
        if self._side_by_side:
            self._decoding.put(RIGHT, stamp_ns, arrival_ns, None)

    def _hand_on(self, side: int, arrival_ns: int, message: Image | CompressedImage) -> None:
        begin = perf_counter_ns()
        try:
            frame = self._frame(message)
            frames = split_side_by_side(frame) if self._side_by_side else (frame,)
            decode_ms = (perf_counter_ns() - begin) / 1e6
            for number, part in enumerate(frames, side):
                self._offer(number, _stamp_ns(message), part, message.header, decode_ms, arrival_ns)
        except Exception as error:  # whatever a camera sends, the node goes on
            what = str(error) if isinstance(error, FrameError) else f"{type(error).__name__}: {error}"
            self._on_fault("both" if self._side_by_side else SIDES[side], what)

    def _frame(self, message: Image | CompressedImage) -> Frame:
        if isinstance(message, CompressedImage):
            return decode_image(message.data, message.format)
        return view_message(message)


def _stamp_ns(message: Image | CompressedImage) -> int:
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec
