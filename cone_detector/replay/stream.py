# SPDX-License-Identifier: Apache-2.0
"""A bag's pairs as serialized messages, ready to be stamped and published at camera rate."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from queue import Full, Queue
from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from cone_detector.pairing import LEFT, RIGHT
from cone_detector.replay.bag_topics import COMPRESSED, IMAGE, INFO, BagError
from cone_detector.replay.bag_writer import raw_image
from cone_detector.replay.bags import TYPESTORE, BagImage, BagPair, StereoBag

# Pairs of a longer bag are decoded while it plays. 1 GiB holds 190 pairs of 1280x720.
DEFAULT_MEMORY = 1 << 30

_LITTLE_ENDIAN = 1
_AHEAD = 8


@dataclass(frozen=True)
class Parcel:
    """One stereo pair as CDR bytes of sensor_msgs/Image, or CompressedImage as recorded, left and right."""

    images: tuple[bytearray, bytearray]

    @property
    def size(self) -> int:
        """Bytes of both images."""
        return sum(map(len, self.images))


def stamp_message(cdr: bytearray, stamp_ns: int) -> None:
    """Writes a stamp into a serialized message that begins with a std_msgs/Header.

    In CDR the four bytes of encapsulation come first, then the header's sec and nanosec.
    """
    struct.pack_into("<iI", cdr, 4, stamp_ns // 10**9, stamp_ns % 10**9)


def info_messages(bag: StereoBag) -> tuple[bytearray | None, bytearray | None]:
    """CDR bytes of the left and the right camera's CameraInfo, None where the bag has none."""
    left, right = (None if info is None else bytearray(TYPESTORE.serialize_cdr(info, INFO)) for info in bag.infos())
    return left, right


class Parcels:
    """All pairs of a bag, again and again; kept in memory where they fit, else decoded ahead by a thread."""

    def __init__(self, bag: StereoBag, memory: int = DEFAULT_MEMORY, compressed: bool = False) -> None:
        """Decodes pairs until `memory` bytes are full. compressed: as `make_parcel`. Raises BagError or FrameError."""
        self._bag = bag
        self._compressed = compressed
        self._kept: list[Parcel] = []
        self.whole = True
        held = 0
        for pair in bag.pairs():
            parcel = make_parcel(pair, compressed)
            held += parcel.size
            if held > memory and self._kept:
                self.whole = False
                break
            self._kept.append(parcel)

    @property
    def kept(self) -> int:
        """Pairs in memory; all of the bag's where `whole`."""
        return len(self._kept)

    def count(self) -> int:
        """Pairs in the bag."""
        return self.kept if self.whole else sum(1 for _ in self._bag.pairs())

    def once(self) -> Iterator[Parcel]:
        """The bag's pairs, in order, one time."""
        return iter(self._kept) if self.whole else self._decoded_ahead()

    def forever(self) -> Iterator[Parcel]:
        return chain.from_iterable(iter(self.once, None))

    def _decoded_ahead(self) -> Iterator[Parcel]:
        queue: Queue[Parcel | Exception | None] = Queue(_AHEAD)
        stop = Event()

        def put(item: Parcel | Exception | None) -> bool:
            while not stop.is_set():
                try:
                    queue.put(item, timeout=0.2)
                    return True
                except Full:
                    continue
            return False

        def decode() -> None:
            try:
                for pair in self._bag.pairs():
                    if not put(make_parcel(pair, self._compressed)):
                        return
                put(None)
            except Exception as error:
                put(error)

        Thread(target=decode, name="decode ahead", daemon=True).start()
        try:
            while (item := queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            stop.set()


def make_parcel(pair: BagPair, compressed: bool = False) -> Parcel:
    """Decodes a pair to raw images, as a camera driver publishes them. Raises BagError or FrameError.

    compressed: leaves them as they were recorded instead, for a node that decodes them.
    """
    if compressed:
        if pair.left is pair.right or not (pair.left.compressed and pair.right.compressed):
            raise BagError("the bag holds no two compressed image topics: play it without --compressed")
        return Parcel((_recorded(pair.left, COMPRESSED), _recorded(pair.right, COMPRESSED)))
    if pair.left is pair.right:
        frames = pair.frames()
        return Parcel((_serialize(pair.left, frames[LEFT].bgr()), _serialize(pair.left, frames[RIGHT].bgr())))
    return Parcel((_single(pair.left), _single(pair.right)))


def _single(image: BagImage) -> bytearray:
    if image.compressed:
        return _serialize(image, image.whole().bgr())
    return _recorded(image, IMAGE)


def _recorded(image: BagImage, kind: str) -> bytearray:
    image.whole()  # a damaged image is found here, not by the node
    if image.raw[1] != _LITTLE_ENDIAN:
        return bytearray(TYPESTORE.serialize_cdr(image.message, kind))
    return bytearray(image.raw)


def _serialize(image: BagImage, bgr: NDArray[np.uint8]) -> bytearray:
    return bytearray(TYPESTORE.serialize_cdr(raw_image(image.message.header, bgr), IMAGE))
