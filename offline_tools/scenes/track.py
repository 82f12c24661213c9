# SPDX-License-Identifier: AGPL-3.0-only
"""Where cones stand: closed tracks, straight lanes and loose groups, in the Formula Student driverless colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline_tools.scenes.cones import BLUE, LARGE_ORANGE, ORANGE, UNKNOWN, YELLOW, Cone, make_cone

LAYOUTS = ("circuit", "acceleration", "loose", "ladder")


@dataclass(frozen=True, eq=False)
class Track:
    """A line to drive along, and its cones.

    Args:
        centre: (N, 2) metres, evenly spaced by `step`; closed tracks repeat from the start.
        closed: whether the end meets the start.
        step: metres between centre points.
        cones: all cones.
    """

    centre: np.ndarray
    closed: bool
    step: float
    cones: tuple[Cone, ...]

    def pose(self, distance: float) -> tuple[np.ndarray, float]:
        """Position (2,) and heading in radians after `distance` metres from the start."""
        place = distance / self.step
        count = len(self.centre)
        index = int(np.floor(place))
        if self.closed:
            points = self.centre[np.arange(index - 2, index + 5) % count]
        else:
            points = self.centre[np.clip(np.arange(index - 2, index + 5), 0, count - 1)]
        share = place - index
        position = points[2] * (1 - share) + points[3] * share
        before = points[3] - points[0]
        after = points[5] - points[2]
        tangent = before * (1 - share) + after * share
        return position, float(np.arctan2(tangent[1], tangent[0]))


def _resampled(points: np.ndarray, step: float) -> np.ndarray:
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.arange(0.0, length[-1], step)
    return np.stack([np.interp(at, length, points[:, 0]), np.interp(at, length, points[:, 1])], axis=1)


def _sides(centre: np.ndarray, half_width: float, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    tangent = np.gradient(centre, axis=0)
    if closed:
        tangent = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    return centre + normal * half_width, centre - normal * half_width


def _stand(kind: int, point: np.ndarray, rng: np.random.Generator, spread: float = 0.08) -> Cone:
    x, y = point + rng.normal(0, spread, 2)
    return make_cone(kind, float(x), float(y), rng)


def _oddities(cones: list[Cone], share: float, rng: np.random.Generator) -> list[Cone]:
    """Turns a share of the cones into unknown ones."""
    return [make_cone(UNKNOWN, c.x, c.y, rng) if rng.random() < share else c for c in cones]


def circuit(rng: np.random.Generator, odd_share: float = 0.04) -> Track:
    """A closed track: blue left, yellow right, large orange at the timing line, small orange before and after it."""
    turn = np.linspace(0, 2 * np.pi, 1441)
    radius = np.ones_like(turn)
    for order in (2, 3, 4, 5):
        radius += rng.normal(0, 0.30 / order) * np.cos(order * turn + rng.uniform(0, 6.28))
    radius = np.clip(radius, 0.45, 1.8) * rng.uniform(20, 36)
    start = rng.uniform(0, 6.28)
    loop = np.stack([radius * np.cos(turn + start), radius * np.sin(turn + start)], axis=1)
    step = 0.25
    centre = _resampled(loop, step)
    half_width = rng.uniform(1.6, 2.4)
    left, right = _sides(centre, half_width, closed=True)
    cones: list[Cone] = []
    spacing = rng.uniform(2.6, 4.8)
    for side, kind in ((left, BLUE), (right, YELLOW)):
        step_length = np.linalg.norm(np.diff(side, axis=0, append=side[:1]), axis=1)
        travelled = np.cumsum(step_length)
        marks = np.searchsorted(travelled, np.arange(3.5, travelled[-1] - 2.0, spacing))
        gate = 4.2 / step
        for mark in marks[marks < len(side)]:
            near_gate = mark < gate or mark > len(side) - gate
            cones.append(_stand(ORANGE if near_gate and rng.random() < 0.85 else kind, side[mark], rng))
    for side, mark, outward in ((left, 2, 1.0), (left, -3, 1.0), (right, 2, -1.0), (right, -3, -1.0)):
        tangent = side[(mark + 1) % len(side)] - side[mark - 1]
        normal = np.array([-tangent[1], tangent[0]]) / np.linalg.norm(tangent)
        cones.append(_stand(LARGE_ORANGE, side[mark] + normal * outward * 0.25, rng, 0.04))
    return Track(centre, True, step, tuple(_oddities(cones, odd_share, rng)))


def acceleration(rng: np.random.Generator, odd_share: float = 0.04) -> Track:
    """A straight lane with orange gates at its ends, sometimes with a second lane beside it."""
    length, step = rng.uniform(50, 90), 0.25
    centre = np.stack([np.arange(-12.0, length + 20, step), np.zeros(int(np.ceil((length + 32) / step)))], axis=1)
    centre[:, 1] = rng.normal(0, 0.4) * np.sin(centre[:, 0] / length * 3)
    half_width = rng.uniform(1.5, 2.2)
    left, right = _sides(centre, half_width, closed=False)
    spacing = rng.uniform(3.5, 5.0)
    cones: list[Cone] = []
    gates = {0.0, length * rng.uniform(0.3, 0.7), length}
    for side, kind, outward in ((left, BLUE, 1.0), (right, YELLOW, -1.0)):
        for distance in np.arange(-8, length + 16, spacing):
            point = side[int((distance + 12) / step)]
            after_finish = distance > length
            cones.append(_stand(ORANGE if after_finish or distance < 0 else kind, point, rng))
        for gate in gates:
            point = side[int((gate + 12) / step)]
            cones.append(_stand(LARGE_ORANGE, point + np.array([0.3, outward * 0.2]), rng, 0.04))
            if rng.random() < 0.7:
                cones.append(_stand(LARGE_ORANGE, point + np.array([-0.4, outward * 0.2]), rng, 0.04))
    return Track(centre, False, step, tuple(_oddities(cones, odd_share, rng)))


def loose(rng: np.random.Generator, odd_share: float = 0.0) -> Track:
    """Groups and single cones of all classes before the camera, at all ranges: balanced, and unlike any track."""
    step = 0.25
    centre = np.stack([np.arange(-5.0, 40.0, step), np.zeros(180)], axis=1)
    cones: list[Cone] = []
    taken: list[tuple[float, float]] = []
    for _ in range(rng.integers(6, 15)):
        distance = 1.8 * (26 / 1.8) ** rng.random()
        anchor = np.array([distance, rng.normal(0, 0.42) * distance])
        kind = int(rng.choice(5, p=[0.17, 0.24, 0.20, 0.22, 0.17]))
        for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
            point = anchor + rng.normal(0, 0.55, 2)
            if any(np.hypot(point[0] - x, point[1] - y) < 0.33 for x, y in taken) or point[0] < 1.6:
                continue
            taken.append((float(point[0]), float(point[1])))
            cones.append(_stand(kind if rng.random() < 0.8 else int(rng.integers(5)), point, rng, 0.0))
    return Track(centre, False, step, tuple(_oddities(cones, odd_share, rng)))


def ladder(rng: np.random.Generator, odd_share: float = 0.0) -> Track:
    """Single cones before the camera, evenly spread over 3 to 20 m and seldom in each other's way."""
    step = 0.25
    centre = np.stack([np.arange(-5.0, 40.0, step), np.zeros(180)], axis=1)
    distances = 3.0 + 17.0 * (rng.permutation(14) + rng.random(14)) / 14
    bearings = np.linspace(-0.56, 0.56, 14) + rng.normal(0, 0.03, 14)
    cones = [
        _stand(int(rng.choice(5, p=[0.25, 0.18, 0.18, 0.14, 0.25])), np.array([d, d * np.tan(b)]), rng, 0.0)
        for d, b in zip(distances, bearings, strict=True)
    ]
    return Track(centre, False, step, tuple(_oddities(cones, odd_share, rng)))


def make_track(layout: str, rng: np.random.Generator, odd_share: float = 0.04) -> Track:
    """A track of the named layout; `odd_share` of its cones are of the unknown class."""
    makers = {"circuit": circuit, "acceleration": acceleration, "loose": loose, "ladder": ladder}
    if layout not in makers:
        raise ValueError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    return makers[layout](rng, odd_share)
