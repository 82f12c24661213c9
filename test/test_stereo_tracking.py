# SPDX-License-Identifier: Apache-2.0
"""Tracks of a car that drives and turns: ids stay, gaps are bridged, the class is what most frames say."""

from dataclasses import replace

import numpy as np
import pytest
from stereo_scene import ZED_2I, boxes_at

from cone_detector.detections import Cones
from cone_detector.settings import Settings
from cone_detector.stereo.tracking import ConeTracker
from cone_detector.stereo.triangulation import triangulate

RATE_HZ = 15.0
BLUE, YELLOW = 0, 4


def located(position, seed=0, noise=0.3, label=BLUE, score=0.9):
    """Cones with the depth noise of stereo: `noise` metres at 10 m, growing with the square of range."""
    rng = np.random.default_rng(seed)
    position = np.array(position, np.float64).reshape(-1, 3)
    count = len(position)
    sigma = np.stack((np.full(count, 0.03), np.full(count, 0.02), noise * (position[:, 2] / 10) ** 2 + 1e-3), axis=1)
    whole = np.arange(count)
    return Cones(
        position + sigma * rng.normal(size=position.shape),
        sigma[:, :, None] ** 2 * np.eye(3),
        np.full(count, score, np.float32),
        np.broadcast_to(label, count).astype(np.int64),
        84 / position[:, 2],
        np.full(count, 0.1),
        whole,
        whole + 100,
    )


def triangulated(position, seed=0):
    """Cones that err by what triangulation says of refined ones, 0.1 px of disparity and boxes off by 1 px."""
    cones = located(position, noise=0.0)
    left, right = ((boxes - 0.5).astype(np.float32) for boxes in boxes_at(position))
    edges = np.full(len(position), 1.5)
    sigma = np.full(len(position), 0.1)
    _, covariance = triangulate(left, right, cones.label, cones.disparity, sigma, ZED_2I, edges)
    error = np.random.default_rng(seed).normal(size=position.shape)
    erring = position + np.einsum("nij,nj->ni", np.linalg.cholesky(covariance), error)
    return replace(cones, position=erring, covariance=covariance)


def drive(frames, speed=10.0, turn_rate=0.4, rate_hz=RATE_HZ):
    """Positions of a lane's cones in the left optical frame, by frame, with each cone's number: only those in view."""
    lane = np.array([[side, 1.0, z] for z in np.arange(2.0, 60.0, 4.0) for side in (-1.6, 1.6)])
    at, heading = np.zeros(2), 0.0
    for number in range(frames):
        sine, cosine = np.sin(heading), np.cos(heading)
        seen = lane - [at[0], 0, at[1]]
        view = seen @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]).T
        inside = (view[:, 2] > 1.5) & (view[:, 2] < 20) & (np.abs(view[:, 0]) < 0.9 * view[:, 2])
        yield number / rate_hz, view[inside], np.nonzero(inside)[0]
        at = at + speed / rate_hz * np.array([sine, cosine])
        heading += turn_rate * np.sin(number / 6) / rate_hz


def tracker(**changes):
    return ConeTracker(Settings({f"stereo.track_{name}": value for name, value in changes.items()}))


@pytest.mark.parametrize("turn_rate", [0.0, 0.4, 1.2])
def test_ids_stay_while_the_car_drives_and_turns(turn_rate):
    tracked, owner, last_seen, returns = tracker(), {}, {}, 0
    for seed, (stamp, view, numbers) in enumerate(drive(40, turn_rate=turn_rate)):
        tracks = tracked.update(located(view, seed), stamp)
        for identity, index in zip(tracks.id, tracks.cones.left, strict=True):
            if index >= 0:
                assert index in tracks.cones.right - 100
                owner.setdefault(int(identity), []).append(int(numbers[index]))
        # Who comes back after being out of view for longer than is bridged may have another id.
        returns += sum(seed - last_seen.get(number, seed) > 5 for number in numbers.tolist())
        last_seen.update(dict.fromkeys(numbers.tolist(), seed))
    assert all(len(set(numbers)) == 1 for numbers in owner.values()), "an id went from one cone to another"
    cones_seen = {numbers[0] for numbers in owner.values()}
    assert len(owner) <= 1.1 * len(cones_seen) + returns, "cones got a second id"
    assert len(cones_seen) > 12


@pytest.mark.parametrize("rate_hz", [30.0, 60.0])
def test_a_straight_drive_shows_each_cone_once_under_one_id(rate_hz):
    """The turn is estimated anew from each frame's cones, and its error moves far ones by more than their own sigma."""
    tracked, places, shown, owner = tracker(), 0, 0, {}
    for seed, (stamp, view, numbers) in enumerate(drive(int(4 * rate_hz), turn_rate=0.0, rate_hz=rate_hz)):
        tracks = tracked.update(triangulated(view, seed), stamp)
        distance = np.linalg.norm(tracks.cones.position[:, None] - view, axis=2)
        close = distance.min(axis=1) < 1.5
        places += len(np.unique(distance[close].argmin(axis=1)))
        shown += close.sum()
        seen = tracks.missed == 0
        for identity, index in zip(tracks.id[seen], tracks.cones.left[seen], strict=True):
            owner.setdefault(int(numbers[index]), set()).add(int(identity))
    assert shown <= 1.05 * places, "cones are shown twice"
    assert sum(map(len, owner.values())) <= 1.1 * len(owner), "cones got a second id"


@pytest.mark.parametrize(
    ("late", "shown"),
    [
        (0.001, 20),
        (0.004, 20),
        (0.009, 20),
        (0.001, 2),  # too few to tell a motion anew
    ],
)
def test_one_wrong_stamp_spoils_no_more_than_the_next_frames(late, shown):
    """Over a millisecond the noise of the places looks like 100 m/s, and a prediction by that finds nothing again."""
    tracked, shares = tracker(), []
    for seed, (stamp, view, _) in enumerate(drive(60, turn_rate=0.0, rate_hz=30.0)):
        if seed > 20:
            view = view[:shown]
        tracks = tracked.update(triangulated(view, seed), stamp - (1 / 30 - late) * (seed == 20))
        shares.append((tracks.missed == 0).sum() / len(view))
    assert np.mean(shares[26:]) > 0.85


def test_a_car_that_stands_after_it_lost_sight_of_all_cones_finds_the_next_ones():
    tracked = tracker(bridge_frames=0, confirm_frames=2)
    for seed, (stamp, view, _) in enumerate(drive(12, speed=20.0, turn_rate=0.0)):
        tracked.update(triangulated(view, seed), stamp)
    tracked.update(Cones.empty(), 12 / RATE_HZ)
    _, standing, _ = next(drive(1))
    assert len(tracked.update(triangulated(standing, 20), 13 / RATE_HZ).id) == 0
    assert len(tracked.update(triangulated(standing, 21), 14 / RATE_HZ).id) == len(standing)


def test_filtered_places_are_better_than_located_ones():
    tracked, errors = tracker(), []
    for seed, (stamp, view, _) in enumerate(drive(40)):
        cones = located(view, seed)
        tracks = tracked.update(cones, stamp)
        if seed > 10:
            seen = tracks.cones.left >= 0
            index = tracks.cones.left[seen]
            errors.append(
                [
                    np.abs(tracks.cones.position[seen] - view[index])[:, 2].mean(),
                    np.abs(cones.position - view)[index, 2].mean(),
                ]
            )
    filtered, raw = np.mean(errors, axis=0)
    assert filtered < 0.8 * raw


@pytest.mark.parametrize(("bridge", "gap", "kept"), [(5, 4, True), (2, 4, False), (0, 1, False)])
def test_a_cone_that_frames_miss_is_bridged(bridge, gap, kept):
    tracked = tracker(bridge_frames=bridge)
    frames = list(drive(12 + gap, turn_rate=0.0))
    target = 4  # stands 10 m ahead at the start

    def update(number, hide):
        stamp, view, numbers = frames[number]
        shown = numbers != target if hide else np.ones(len(numbers), bool)
        tracks = tracked.update(located(view[shown], number), stamp)
        true = view[numbers == target][0]
        near = np.linalg.norm(tracks.cones.position - true, axis=1) < 0.5
        return tracks, near

    for number in range(6):
        tracks, near = update(number, hide=False)
    (identity,) = tracks.id[near]
    for number in range(6, 6 + gap):
        tracks, near = update(number, hide=True)
    assert (identity in tracks.id[near]) is kept
    if kept:
        assert tracks.missed[tracks.id == identity] == gap
        assert tracks.cones.left[tracks.id == identity] == -1
    tracks, _ = update(6 + gap, hide=False)
    assert (identity in tracks.id) is kept


def test_the_class_is_what_most_frames_say():
    tracked = tracker()
    for number in range(9):
        label = YELLOW if number % 3 == 2 else BLUE
        tracks = tracked.update(located([[0.0, 1.0, 6.0]], number, label=label), number / RATE_HZ)
    assert tracks.cones.label.tolist() == [BLUE]


def test_a_cone_seen_once_is_not_shown():
    tracked = tracker(confirm_frames=3)
    counts = [len(tracked.update(located([[0.0, 1.0, 6.0]], n), n / RATE_HZ).id) for n in range(4)]
    assert counts == [0, 0, 1, 1]


@pytest.mark.parametrize("stamp", [-1.0, 0.0, 5.0])
def test_a_jump_of_stamps_starts_over_with_new_ids(stamp):
    tracked = tracker(confirm_frames=1)
    first = tracked.update(located([[0.0, 1.0, 6.0]]), 0.0)
    again = tracked.update(located([[0.0, 1.0, 6.0]]), stamp)
    assert again.id[0] > first.id[0]


def test_nothing_is_tracked_from_nothing():
    tracked = tracker()
    for number in range(3):
        tracks = tracked.update(Cones.empty(), number / RATE_HZ)
    assert len(tracks.id) == len(tracks.cones) == 0


def test_the_located_cones_are_not_changed():
    tracked, cones = tracker(confirm_frames=1), located([[0.0, 1.0, 6.0], [1.0, 1.0, 9.0]])
    position = cones.position.copy()
    tracked.update(cones, 0.0)
    tracked.update(located([[0.0, 1.0, 5.5], [1.0, 1.0, 8.5]], 3), 0.066)
    np.testing.assert_array_equal(cones.position, position)
