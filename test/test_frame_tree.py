# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cone_detector.frame_tree import FrameTree, RigidTransform

# ROS optical frame (x right, y down, z forward) in a body frame (x forward, y left, z up), REP 103.
OPTICAL = RigidTransform.from_quaternion((-0.5, 0.5, -0.5, 0.5), (0.0, 0.0, 0.0))


@pytest.mark.parametrize("seed", range(5))
def test_a_quaternion_turns_as_scipy_says(seed):
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=4)
    turned = RigidTransform.from_quaternion(quaternion, np.zeros(3)).rotation
    np.testing.assert_allclose(turned, Rotation.from_quat(quaternion).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (np.nan, 0, 0, 1)])
def test_a_quaternion_without_direction_is_refused(quaternion):
    with pytest.raises(ValueError, match="no direction"):
        RigidTransform.from_quaternion(quaternion, (0, 0, 0))


@pytest.fixture
def car():
    """base_link, with a camera half a metre ahead and one metre up, and the camera's optical frame in it."""
    tree = FrameTree()
    tree.set("base_link", "camera", RigidTransform(np.eye(3), np.array([0.5, 0.0, 1.0])))
    tree.set("camera", "optical", OPTICAL)
    tree.set("base_link", "wheel", RigidTransform(np.eye(3), np.array([1.0, 0.6, 0.2])))
    return tree


@pytest.mark.parametrize(
    ("source", "target", "point", "expected"),
    [
        ("optical", "base_link", (1.0, 0.7, 8.0), (8.5, -1.0, 0.3)),
        ("base_link", "optical", (8.5, -1.0, 0.3), (1.0, 0.7, 8.0)),
        ("optical", "wheel", (0.0, 0.0, 2.0), (1.5, -0.6, 0.8)),
        ("camera", "camera", (1.0, 2.0, 3.0), (1.0, 2.0, 3.0)),
    ],
    ids=["up two levels", "down two levels", "across the root", "to itself"],
)
def test_a_point_keeps_its_place_in_every_frame(car, source, target, point, expected):
    found = car.find(source, target).transform
    np.testing.assert_allclose(found.rotation @ point + found.translation, expected, atol=1e-12)


def test_frames_that_no_chain_joins_have_no_transform(car):
    car.set("map", "odom", RigidTransform.identity())
    assert car.find("optical", "odom") is None
    assert car.find("optical", "nowhere") is None


def test_a_cycle_ends_the_search(car):
    car.set("optical", "base_link", RigidTransform.identity())
    assert car.find("optical", "nowhere") is None


def at(x):
    return RigidTransform(np.eye(3), np.array([x, 0.0, 0.0]))


def turned(degrees):
    return RigidTransform(Rotation.from_euler("z", degrees, degrees=True).as_matrix(), np.zeros(3))


@pytest.mark.parametrize(
    ("stated", "moves"),
    [
        ([at(1.0)], False),
        ([at(1.0)] * 3, False),
        ([at(1.0), at(1.004), at(0.997)], False),
        ([at(1.0), at(3.0)], True),
        ([at(1.0), at(3.0), at(1.0)], True),
        ([at(1.0 + 0.004 * n) for n in range(10)], True),
        ([turned(0), turned(0.2)], False),
        ([turned(0), turned(5)], True),
    ],
    ids=["once", "restated", "noise", "a jump", "there and back", "creeping", "noise in angle", "a turn"],
)
def test_a_link_that_is_not_static_is_watched(car, stated, moves):
    for place in stated:
        car.set("odom", "base_link", place, static=False)
    chain = car.find("optical", "odom")
    assert not chain.static
    assert (chain.moved and chain.moved.child) == ("base_link" if moves else None)
    aside = car.find("optical", "wheel")
    assert aside.static
    assert aside.moved is None


def test_a_static_link_may_be_stated_anew():
    tree = FrameTree()
    for x in (1.0, 2.0):
        tree.set("base_link", "camera", at(x))
    chain = tree.find("camera", "base_link")
    assert chain.moved is None
    assert chain.transform.translation[0] == 2.0
