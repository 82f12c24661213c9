# SPDX-License-Identifier: Apache-2.0
"""Pairs left and right images by stamp, in a fixed set of slots.

A slot is the place of one stereo frame: while it is filled, waits, is processed and is free again. Images are written
into their half of a slot as they arrive, so that the second image's arrival is all that a pair waits for.
The lock guards bookkeeping only; nobody holds it while pixels move or a network runs.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

LEFT, RIGHT = 0, 1


@dataclass
class Slot:
    """One stereo frame's place. Lists hold left, then right.

    stamp_ns: camera stamps. arrival_ns: perf_counter_ns at arrival. payload: whatever the caller keeps with each image.
    """

    index: int
    stamp_ns: list[int] = field(default_factory=lambda: [0, 0])
    arrival_ns: list[int] = field(default_factory=lambda: [0, 0])
    payload: list[Any] = field(default_factory=lambda: [None, None])
    filled: list[bool] = field(default_factory=lambda: [False, False])

    @property
    def complete(self) -> bool:
        return self.filled[LEFT] and self.filled[RIGHT]

    @property
    def skew_ns(self) -> int:
        """Stamp of the right image less that of the left."""
        return self.stamp_ns[RIGHT] - self.stamp_ns[LEFT]


@dataclass
class NearestMiss:
    """The smallest difference of two stamps that was too large for a pair; ns: None where there was none."""

    ns: int | None = None

    def note(self, difference_ns: int) -> None:
        self.ns = difference_ns if self.ns is None else min(self.ns, difference_ns)

    def take(self) -> int | None:
        """The nearest one since the last call."""
        ns, self.ns = self.ns, None
        return ns


@dataclass
class PairingCounts:
    """Totals since the start, and the last skews, for diagnostics.

    undecoded: how many of those dropped were dropped by a pairer in front, which pairs images before they are decoded.
    """

    received: list[int] = field(default_factory=lambda: [0, 0])
    paired: int = 0
    taken: int = 0
    unpaired: list[int] = field(default_factory=lambda: [0, 0])
    dropped: int = 0
    undecoded: int = 0
    resets: int = 0
    skew_ns: int = 0
    max_skew_ns: int = 0
    nearest_miss: NearestMiss = field(default_factory=NearestMiss)

    def behind(self, front: PairingCounts) -> PairingCounts:
        """Counts of two pairers as of one: this one gets the pairs that `front` hands out."""
        return replace(
            front,
            taken=self.taken,
            unpaired=[a + b for a, b in zip(front.unpaired, self.unpaired, strict=True)],
            dropped=front.dropped + self.dropped,
            undecoded=front.dropped,
        )


class Pairer:
    """Hands out slots to arriving images and complete pairs to one consumer.

    tolerance_ns: largest difference of the two stamps of a pair.
    depth: how many complete pairs may wait; a further one pushes out the oldest (1: latest wins).
    halves: how many unpaired images may wait in all.
    """

    def __init__(self, tolerance_ns: int, depth: int = 1, halves: int = 4) -> None:
        self.tolerance_ns = tolerance_ns
        self.depth = depth
        self.counts = PairingCounts()
        # Besides those that wait, one slot is in work and one is being written to.
        self.slots = tuple(Slot(i) for i in range(slots_needed(depth, halves)))
        self._halves_limit = halves
        self._free = list(self.slots)
        self._halves: list[Slot] = []
        self._ready: deque[Slot] = deque()
        self._newest = [-1, -1]
        self._retired = False
        self._condition = threading.Condition()

    def place(self, side: int, stamp_ns: int, arrival_ns: int, payload: Any = None) -> Slot:
        """The slot into whose half `side` an image with this stamp is to be written; call `complete` afterwards."""
        with self._condition:
            self.counts.received[side] += 1
            if stamp_ns < self._newest[side]:
                self._drop_future(stamp_ns)
            self._newest[side] = stamp_ns
            slot = self._partner(side, stamp_ns) or self._acquire()
            slot.stamp_ns[side] = stamp_ns
            slot.arrival_ns[side] = arrival_ns
            slot.payload[side] = payload
            return slot

    def complete(self, slot: Slot, side: int) -> bool:
        """Marks half `side` of a slot as written. True where that makes a pair, which then waits for `take`."""
        with self._condition:
            slot.filled[side] = True
            if not slot.complete:
                self._halves.append(slot)
                return False
            self.counts.paired += 1
            self.counts.skew_ns = slot.skew_ns
            self.counts.max_skew_ns = max(self.counts.max_skew_ns, abs(slot.skew_ns))
            self._expire(min(slot.stamp_ns))
            self._ready.append(slot)
            while len(self._ready) > self.depth:
                self.counts.dropped += 1
                self._recycle(self._ready.popleft())
            self._condition.notify()
            return True

    def abandon(self, slot: Slot, side: int) -> None:
        """Takes back `place` for an image that turned out unusable; a good other half waits on."""
        with self._condition:
            slot.payload[side] = None
            if slot.filled[1 - side]:
                self._halves.append(slot)
            else:
                self._recycle(slot)

    def take(self, timeout_s: float | None = None) -> Slot | None:
        """The next complete pair, oldest first; None where none came in time, or none will. Give it back: `release`."""
        with self._condition:
            self._condition.wait_for(lambda: self._ready or self._retired, timeout_s)
            if not self._ready:
                return None
            self.counts.taken += 1
            return self._ready.popleft()

    def release(self, slot: Slot) -> None:
        """Frees a taken slot and lets go of its images."""
        with self._condition:
            self._recycle(slot)

    def retire(self) -> list[Slot]:
        """Slots with waiting halves and pairs, oldest first, for another pairer to go on with; wakes the consumer."""
        with self._condition:
            slots = [*self._ready, *self._halves]
            self._ready.clear()
            self._halves.clear()
            self._retired = True
            self._condition.notify()
            return slots

    def _partner(self, side: int, stamp_ns: int) -> Slot | None:
        other = 1 - side
        waiting = [s for s in self._halves if s.filled[other]]
        if not waiting:
            return None
        slot = min(waiting, key=lambda s: abs(s.stamp_ns[other] - stamp_ns))
        difference = abs(slot.stamp_ns[other] - stamp_ns)
        if difference > self.tolerance_ns:
            self.counts.nearest_miss.note(difference)
            return None
        self._halves.remove(slot)
        return slot

    def _acquire(self) -> Slot:
        if len(self._halves) >= self._halves_limit:
            self._lose(min(self._halves, key=_stamp_of_half))
        return self._free.pop()

    def _expire(self, stamp_ns: int) -> None:
        """Stamps rise on each side, so halves older than a complete pair have lost their partner for good."""
        for slot in [s for s in self._halves if _stamp_of_half(s) < stamp_ns]:
            self._lose(slot)

    def _drop_future(self, stamp_ns: int) -> None:
        """Time jumped back (a bag that loops, a restarted camera): halves of the old time will never be paired."""
        self.counts.resets += 1
        for slot in [s for s in self._halves if _stamp_of_half(s) > stamp_ns + self.tolerance_ns]:
            self._lose(slot)

    def _lose(self, slot: Slot) -> None:
        self.counts.unpaired[LEFT if slot.filled[LEFT] else RIGHT] += 1
        self._halves.remove(slot)
        self._recycle(slot)

    def _recycle(self, slot: Slot) -> None:
        slot.filled[LEFT] = slot.filled[RIGHT] = False
        slot.payload[LEFT] = slot.payload[RIGHT] = None
        self._free.append(slot)


def slots_needed(depth: int, halves: int = 4) -> int:
    """Slots of a Pairer: those that wait, one in work, and one for each camera being written to."""
    return depth + halves + 3


def images_held(depth: int, halves: int = 4) -> int:
    """Images that a Pairer and its consumer keep at most: unpaired ones, and pairs waiting, written and in work."""
    return halves + 2 * (depth + 2)


def _stamp_of_half(slot: Slot) -> int:
    return slot.stamp_ns[LEFT] if slot.filled[LEFT] else slot.stamp_ns[RIGHT]
