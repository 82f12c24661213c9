# SPDX-License-Identifier: Apache-2.0
"""Stereo images out of a rosbag2 recording (sqlite3 or MCAP), without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore

from cone_detector.frames import Frame, decode_image, split_side_by_side, view_message
from cone_detector.pairing import LEFT, RIGHT, Pairer
from cone_detector.replay.bag_topics import COMPRESSED, IMAGE, INFO, BagError, StereoTopics, choose_topics

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class BagImage:
    """One recorded image, not yet decoded.

    sides: the cameras that it shows, (0,) left, (1,) right, (0, 1) side by side. stamp_ns: the camera's stamp.
    log_ns: when it was recorded. message: a sensor_msgs Image or CompressedImage. raw: its CDR bytes.
    """

    sides: tuple[int, ...]
    stamp_ns: int
    log_ns: int
    message: Any
    raw: bytes

    @property
    def compressed(self) -> bool:
        return not hasattr(self.message, "encoding")

    def whole(self) -> Frame:
        """The image as recorded, side-by-side images in one. Raises FrameError where it cannot be used."""
        message = self.message
        if self.compressed:
            return decode_image(message.data, message.format)
        return view_message(message)

    def frames(self) -> tuple[Frame, ...]:
        """One frame for each of `sides`. Raises FrameError where the image cannot be used."""
        whole = self.whole()
        return (whole,) if len(self.sides) == 1 else split_side_by_side(whole)


@dataclass(frozen=True)
class BagPair:
    """Two recorded images of one moment; of a side-by-side recording, twice the same."""

    left: BagImage
    right: BagImage

    def frames(self) -> tuple[Frame, Frame]:
        """Decodes the left and the right image. Raises FrameError where one cannot be used."""
        left = self.left.frames()
        return (left[LEFT], left[RIGHT]) if self.left is self.right else (left[0], self.right.frames()[0])


class StereoBag:
    """A recording open for reading; a context manager."""

    def __init__(self, path: Path | str, topics: StereoTopics | None = None) -> None:
        """Opens the recording at `path`, a rosbag2 folder or one .mcap or .db3 file.

        topics: those that are named are used, the others looked for. Raises BagError.
        """
        self.path = Path(path).expanduser()
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except FileNotFoundError as error:
            if self.path.is_dir():
                fix = "name its .mcap or .db3 file, or run `ros2 bag reindex` on it"
                raise BagError(f"{self.path} has no metadata.yaml: {fix}") from error
            raise BagError(f"{self.path}: no such bag") from error
        except (ReaderError, OSError) as error:
            raise BagError(f"{self.path} is no rosbag2 recording that can be read: {error}") from error
        types = {connection.topic: connection.msgtype for connection in self._reader.connections}
        try:
            self.topics = choose_topics(types, topics)
        except BagError as error:
            self._reader.close()
            raise BagError(f"{self.path}: {error}") from error

    def __enter__(self) -> StereoBag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._reader.close()

    def images(self) -> Iterator[BagImage]:
        """All stereo images in the order of their recording. Raises BagError where there is none."""
        names = self.topics.images
        sides = {names[0]: (LEFT, RIGHT)} if len(names) == 1 else {names[LEFT]: (LEFT,), names[RIGHT]: (RIGHT,)}
        connections = [c for c in self._reader.connections if c.topic in sides and c.msgtype in (IMAGE, COMPRESSED)]
        empty = True
        for connection, log_ns, raw in self._messages(connections):
            message = TYPESTORE.deserialize_cdr(raw, connection.msgtype)
            stamp = cast(Any, message).header.stamp
            empty = False
            yield BagImage(sides[connection.topic], stamp.sec * 10**9 + stamp.nanosec, log_ns, message, raw)
        if empty:
            raise BagError(f"{self.path}: no message on {' or '.join(names)}")

    def pairs(self, tolerance_ns: int = 5_000_000) -> Iterator[BagPair]:
        """Images of one moment together, paired by stamp as the node pairs them; images without partner are left out.

        Raises BagError where no two images belong together.
        """
        pairer = Pairer(tolerance_ns)
        for image in self.images():
            for side in image.sides:
                slot = pairer.place(side, image.stamp_ns, image.log_ns, image)
                if pairer.complete(slot, side):
                    pairer.take()
                    yield BagPair(*slot.payload)
                    pairer.release(slot)
        if not pairer.counts.paired:
            nearest = pairer.counts.nearest_miss.ns
            raise BagError(
                f"{self.path}: no left and right image have stamps within {tolerance_ns / 1e6:g} ms of each other"
                + (f" (nearest: {nearest / 1e6:.1f} ms)" if nearest is not None else "")
            )

    def infos(self) -> tuple[Any | None, Any | None]:
        """The first CameraInfo message of the left and of the right camera, None where the bag has none."""
        found: list[Any | None] = [None, None]
        for side, topic in enumerate(self.topics.infos):
            connections = [c for c in self._reader.connections if c.topic == topic and c.msgtype == INFO]
            for _, _, raw in self._messages(connections):
                found[side] = TYPESTORE.deserialize_cdr(raw, INFO)
                break
        return found[LEFT], found[RIGHT]

    def rate_hz(self) -> float:
        """Rate of the left images by their stamps, the median; 0 where there are fewer than two."""
        topic = self.topics.images[0]
        stamps: list[int] = []
        for connection, _, raw in self._messages([c for c in self._reader.connections if c.topic == topic]):
            stamp = cast(Any, TYPESTORE.deserialize_cdr(raw, connection.msgtype)).header.stamp
            stamps.append(stamp.sec * 10**9 + stamp.nanosec)
        steps = sorted(later - earlier for earlier, later in pairwise(stamps) if later > earlier)
        return 1e9 / steps[len(steps) // 2] if steps else 0.0

    def _messages(self, connections: list[Any]) -> Iterator[tuple[Any, int, bytes]]:
        if not connections:
            return
        try:
            yield from self._reader.messages(connections)
        except ReaderError as error:
            raise BagError(f"{self.path}: damaged: {error}") from error
