# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the stereo images, and which their calibration: by type and name, as drivers name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))

_WORDS = re.compile(r"[^a-z]+")
# What a stereo camera publishes besides the pictures that cones are found in.
_NOT_PICTURES = {"depth", "disparity", "confidence", "compresseddepth", "theora", "cost", "mask"}
_SIDE_BY_SIDE_WORDS = {"stereo", "sbs", "side"}


class BagError(ValueError):
    """A bag that cannot serve; the message names the bag, what it holds and what to do."""


@dataclass(frozen=True)
class StereoTopics:
    """Topic names; an info is empty where the bag has none. Either left and right, or side_by_side, are set."""

    left: str = ""
    right: str = ""
    side_by_side: str = ""
    left_info: str = ""
    right_info: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """The image topics, in the order of the sides."""
        return (self.side_by_side,) if self.side_by_side else (self.left, self.right)

    @property
    def infos(self) -> tuple[str, str]:
        return self.left_info, self.right_info


def choose_topics(types: Mapping[str, str], wanted: StereoTopics | None = None) -> StereoTopics:
    """The stereo topics among `types`, message type by topic name.

    wanted: topics that the user named; what it leaves empty is looked for. Of several pairs the one that looks most
    like rectified colour images wins. Raises BagError with what the bag holds.
    """
    wanted = wanted or StereoTopics()
    images = {name for name, kind in types.items() if kind in (IMAGE, COMPRESSED)}
    for named in (wanted.left, wanted.right, wanted.side_by_side):
        if named and named not in images:
            raise BagError(f"no image topic {named}; the bag holds {_listed(types)}")
    if bool(wanted.left) != bool(wanted.right):
        raise BagError("name both image topics, left and right, or neither")
    if wanted.left or wanted.side_by_side:
        left, right, both = wanted.left, wanted.right, wanted.side_by_side
    else:
        left, right, both = _find_images(types, images)
    return StereoTopics(
        left,
        right,
        both,
        wanted.left_info or _find_info(types, left, "left", both),
        wanted.right_info or _find_info(types, right, "right", both),
    )


def _find_images(types: Mapping[str, str], images: set[str]) -> tuple[str, str, str]:
    if not images:
        raise BagError(f"no image topic in the bag, which holds {_listed(types)}")
    pairs = [
        (name, other)
        for name in sorted(images)
        if "left" in name and (other := name.replace("left", "right")) in images
    ]
    pictures = [pair for pair in pairs if not _words(pair[0]) & _NOT_PICTURES]
    if pictures:
        best = max(pictures, key=lambda pair: _likeness(pair[0], types[pair[0]]))
        return *best, ""
    wide = [name for name in sorted(images) if _words(name) & _SIDE_BY_SIDE_WORDS]
    if len(wide) == 1:
        return "", "", wide[0]
    if len(images) == 1:
        return "", "", next(iter(images))
    raise BagError(f"no left and right image topics in the bag, which holds {_listed(types)}: name them")


def _likeness(name: str, kind: str) -> tuple[bool, bool, bool, bool]:
    """Rectified before raw, colour before grey, uncompressed before compressed."""
    words = _words(name)
    grey = bool(words & {"gray", "grey", "mono"})
    return bool(words & {"rect", "rectified"}), not words & {"raw", "unrectified"}, not grey, kind == IMAGE


def _find_info(types: Mapping[str, str], image: str, side: str, both: str) -> str:
    infos = sorted(name for name, kind in types.items() if kind == INFO)
    folder = image
    while image and "/" in folder:
        folder = folder.rsplit("/", 1)[0]
        if f"{folder}/camera_info" in infos:
            return f"{folder}/camera_info"
    named = [name for name in infos if side in name]
    if both:
        folder = both.rsplit("/", 1)[0]
        named.sort(key=lambda name: not name.startswith(folder))
    return named[0] if named else ""


def _words(name: str) -> set[str]:
    return set(_WORDS.split(name.lower()))


def _listed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items())) or "no topic at all"
