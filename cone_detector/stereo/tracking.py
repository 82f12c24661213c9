# SPDX-License-Identifier: Apache-2.0
"""Cones over time: ids that stay, cones bridged over frames that missed them, the class by vote.

The car moves between frames, and nobody tells by how much: the cones do. They stand still, so their common motion over
the ground is the car's. The last motion finds most cones again, they tell the newest motion, and that finds the rest.
Positions are filtered by a Kalman filter per cone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cone_detector.classes import CLASS_NAMES
from cone_detector.detections import Cones
from cone_detector.settings import Settings

# Squared Mahalanobis distance on the ground beyond which two are not one cone: chi-squared of 2 at 99.9 %.
_GATE = 13.8
# What the prediction errs in a second, beside the cone's own covariance: bumps and changes of speed, in metres.
_DRIFT_M_PER_S = 2.0
# What the turn errs: by its change in a second, and by the noise of the few cones that told it, in radians.
_TURN_DRIFT_RAD_PER_S = 0.3
_TURN_SIGMA_RAD = 0.01
# Before the car's motion is known a cone may have moved by this speed.
_UNKNOWN_SPEED_M_S = 20.0
# No car of the series is this fast: such a motion comes of wrong pairs, or of stamps that lie too close together.
_HIGHEST_SPEED_M_S = 60.0
# So few cones do not tell a motion: one wrong pair would.
_LEAST_PAIRS = 3
# A gap or a jump back in the stamps beyond this starts all over.
_LONGEST_GAP_S = 0.5
_NEAREST_M = 0.3


@dataclass(frozen=True)
class Tracks:
    """Cones with their history, in the frame of the newest ones.

    cones: filtered; label by vote; left and right are -1 where the newest frame missed the cone.
    id: (N,) int64, the same over time, never used twice. missed: (N,) frames since the cone was last located.
    """

    cones: Cones
    id: NDArray[np.int64]
    missed: NDArray[np.int64]


@dataclass(frozen=True)
class _Motion:
    """What points of the ground do in the camera's frame: turn about y (radians a second), move along x and z (m/s)."""

    turn: float
    move: NDArray[np.float64]

    def carried(self, position: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
        """(N, 3) positions after that time."""
        moved = position @ _rotation(self.turn * seconds).T
        moved[:, [0, 2]] += self.move * seconds
        return moved


class ConeTracker:
    """Tracks the cones of one camera pair. One thread at a time."""

    def __init__(self, settings: Settings) -> None:
        """settings: stereo.track_bridge_frames and stereo.track_confirm_frames are read at each update."""
        self.settings = settings
        self._next_id = 0
        self.reset()

    def reset(self) -> None:
        """Forgets all cones and the motion; ids go on."""
        self._cones = Cones.empty()
        self._id = np.empty(0, np.int64)
        self._missed = np.empty(0, np.int64)
        self._seen = np.empty(0, np.int64)
        self._votes = np.empty((0, len(CLASS_NAMES)))
        self._motion: _Motion | None = None
        self._stamp: float | None = None

    def update(self, cones: Cones, stamp_s: float) -> Tracks:
        """Takes the cones of the next frame, in the left optical frame, and returns all that are confirmed.

        stamp_s: the frame's stamp in seconds. A stamp that does not grow, or after a long gap, starts over.
        """
        elapsed = stamp_s - self._stamp if self._stamp is not None else 0.0
        if not 0.0 < elapsed <= _LONGEST_GAP_S:
            self.reset()
        self._stamp = stamp_s
        if len(self._cones):
            old, new = self._found_again(cones, elapsed)
        else:
            old = new = np.empty(0, np.intp)
        self._correct(cones, old, new)
        self._add(cones, np.setdiff1d(np.arange(len(cones)), new))
        self._forget(self.settings["stereo.track_bridge_frames"])
        return self._confirmed(self.settings["stereo.track_confirm_frames"])

    def _found_again(self, cones: Cones, elapsed: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Moves the tracks to the new frame; indices of tracks and of cones that are one."""
        before = self._cones
        if self._motion is not None:
            predicted = _predicted(before, self._motion, elapsed, _DRIFT_M_PER_S)
            old, new = _associated(predicted, cones)
            # A motion that finds so few of many was wrong, and would stay so: nothing else tells a new one.
            if len(old) < _LEAST_PAIRS <= min(len(before), len(cones)):
                self._motion = None
        if self._motion is None:
            predicted = _predicted(before, _Motion(0.0, np.zeros(2)), elapsed, _UNKNOWN_SPEED_M_S)
            old, new = _associated(predicted, cones)
        if len(old) >= _LEAST_PAIRS:
            motion = _motion_between(before.position[old], cones.position[new], elapsed)
            predicted = _predicted(before, motion, elapsed, _DRIFT_M_PER_S)
            old, new = _associated(predicted, cones)
            # It carries the cones to where they are, whatever the stamps say, but only a possible one will do so again.
            if np.hypot(*motion.move) <= _HIGHEST_SPEED_M_S:
                self._motion = motion
        self._cones = predicted
        return old, new

    def _correct(self, cones: Cones, old: NDArray[np.intp], new: NDArray[np.intp]) -> None:
        self._missed += 1
        if not len(old):
            return
        state = self._cones
        gain = state.covariance[old] @ np.linalg.inv(state.covariance[old] + cones.covariance[new])
        step = np.einsum("nij,nj->ni", gain, cones.position[new] - state.position[old])
        state.position[old] += step
        state.covariance[old] = (np.eye(3) - gain) @ state.covariance[old]
        for name in ("score", "disparity", "disparity_sigma", "left", "right"):
            getattr(state, name)[old] = getattr(cones, name)[new]
        self._missed[old] = 0
        self._seen[old] += 1
        self._votes[old, cones.label[new]] += cones.score[new]
        state.label[old] = self._votes[old].argmax(axis=1)

    def _add(self, cones: Cones, fresh: NDArray[np.intp]) -> None:
        self._cones = _joined(self._cones, _picked(cones, fresh))
        count = len(fresh)
        self._id = np.append(self._id, np.arange(self._next_id, self._next_id + count))
        self._next_id += count
        self._missed = np.append(self._missed, np.zeros(count, np.int64))
        self._seen = np.append(self._seen, np.ones(count, np.int64))
        votes = np.zeros((count, len(CLASS_NAMES)))
        votes[np.arange(count), cones.label[fresh]] = cones.score[fresh]
        self._votes = np.concatenate((self._votes, votes))

    def _forget(self, bridge: int) -> None:
        keep = np.nonzero((self._missed <= bridge) & (self._cones.position[:, 2] > _NEAREST_M))[0]
        self._cones = _picked(self._cones, keep)
        self._id, self._missed, self._seen = self._id[keep], self._missed[keep], self._seen[keep]
        self._votes = self._votes[keep]

    def _confirmed(self, least: int) -> Tracks:
        shown = np.nonzero(self._seen >= least)[0]
        return Tracks(_picked(self._cones, shown), self._id[shown], self._missed[shown])


def _predicted(cones: Cones, motion: _Motion, elapsed: float, drift_m_per_s: float) -> Cones:
    turn, drift = _rotation(motion.turn * elapsed), drift_m_per_s * elapsed
    position = motion.carried(cones.position, elapsed)
    covariance = turn @ cones.covariance @ turn.T + np.diag([drift, 0.1 * drift, drift]) ** 2
    # A wrong turn moves a cone across its ray by its range.
    lever = np.hypot(_TURN_DRIFT_RAD_PER_S * elapsed, _TURN_SIGMA_RAD) * position[:, ::-2] * [1, -1]
    covariance[:, ::2, ::2] += lever[:, :, None] * lever[:, None]
    absent = np.full(len(cones), -1, np.int64)
    return replace(cones, position=position, covariance=covariance, left=absent, right=absent.copy())


def _associated(tracks: Cones, cones: Cones) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of both, of those that are one cone: least total squared Mahalanobis distance on the ground."""
    apart = (tracks.position[:, None] - cones.position[None])[..., ::2]
    spread = (tracks.covariance[:, None] + cones.covariance[None])[:, :, ::2, ::2]
    cost = np.einsum("nmi,nmij,nmj->nm", apart, np.linalg.inv(spread), apart)
    cost = np.minimum(cost, _GATE)
    old, new = linear_sum_assignment(cost)
    good = cost[old, new] < _GATE
    return old[good], new[good]


def _motion_between(before: NDArray[np.float64], now: NDArray[np.float64], elapsed: float) -> _Motion:
    """The rigid motion on the ground that carries `before` to `now` best: Procrustes, where near cones count more."""
    # Depth errs with the square of range.
    weight = 1 / np.maximum(now[:, 2], 1.0) ** 4
    weight /= weight.sum()
    a, b = before[:, ::2], now[:, ::2]
    mean_a, mean_b = weight @ a, weight @ b
    centred_a, centred_b = a - mean_a, b - mean_b
    along = (weight[:, None] * centred_a * centred_b).sum()
    across = (weight * (centred_a[:, 1] * centred_b[:, 0] - centred_a[:, 0] * centred_b[:, 1])).sum()
    turn = float(np.arctan2(across, along))
    return _Motion(turn / elapsed, (mean_b - _rotation(turn)[::2, ::2] @ mean_a) / elapsed)


def _rotation(angle: float) -> NDArray[np.float64]:
    """(3, 3) turn about the optical y axis, from z towards x for a positive angle."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _picked(cones: Cones, index: NDArray[np.intp]) -> Cones:
    return Cones(*(getattr(cones, name)[index] for name in Cones.__dataclass_fields__))


def _joined(first: Cones, second: Cones) -> Cones:
    pairs = ((getattr(first, name), getattr(second, name)) for name in Cones.__dataclass_fields__)
    return Cones(*(np.concatenate(pair) for pair in pairs))
