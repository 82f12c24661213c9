# SPDX-License-Identifier: AGPL-3.0-only
"""Labelled frames in the order in which a car saw them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cone_detector.classes import CLASS_NAMES
from cone_detector.frames import Frame
from offline_tools.datasets import DatasetError, read_dataset
from offline_tools.datasets.fingerprint import data_sha256
from offline_tools.datasets.guard import Purpose, SplitGuard
from offline_tools.datasets.prepare import Source, read_boxes, read_image
from offline_tools.datasets.sample import Sample


@dataclass(frozen=True)
class Truth:
    """The labelled cones of one image. xyxy: (N, 4) float32, as shares of its width and height. label: (N,) int64."""

    xyxy: NDArray[np.float32]
    label: NDArray[np.int64]


@dataclass(frozen=True)
class LabelledPair:
    """One moment.

    size: width and height of both images. read: decodes the left and the right one.
    truth: of the eyes that count: both, or the left one alone where a single camera's frame serves as both.
    """

    size: tuple[int, int]
    read: Callable[[], tuple[Frame, Frame]]
    truth: tuple[Truth, ...]


@dataclass(frozen=True)
class LabelledSequence:
    """Pairs in order of time. Policies start it without memory."""

    name: str
    pairs: Sequence[LabelledPair]


@dataclass(frozen=True)
class Labelled:
    """All that is replayed. sha256: of the images, by content."""

    sequences: Sequence[LabelledSequence]
    sha256: str

    @property
    def frames(self) -> int:
        return sum(len(sequence.pairs) for sequence in self.sequences)


def read_sequences(
    sources: Sequence[Source], stereo: Sequence[Path], guard: SplitGuard, final: bool = False
) -> Labelled:
    """The val split of each of `sources`, clip by clip, and the stereo sequences in the folders `stereo`.

    A frame of a single camera is given to both eyes. final: the test split instead, for the final evaluation.
    Raises DatasetError, also where an image is one of the test split and this is not the final evaluation.
    """
    split, purpose = ("test", Purpose.FINAL_TEST) if final else ("val", Purpose.TUNE)
    sequences: list[LabelledSequence] = []
    images: list[Path] = []
    for source in sources:
        samples = guard.open(read_dataset(source.path), split, purpose)
        images += [sample.image for sample in samples]
        sequences += _clips(samples, source)
    for folder in stereo:
        sequences.append(_stereo(folder))
        images += sorted(path for eye in ("left", "right") for path in (folder / eye).iterdir())
    if not images:
        raise DatasetError(f"no sequence was given: name a dataset with a {split} split, or a stereo folder")
    prints = guard.check(images, purpose)
    return Labelled(sequences, data_sha256(item.content for item in prints))


def _clips(samples: Sequence[Sample], source: Source) -> list[LabelledSequence]:
    clips: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        clips[sample.clip].append(sample)
    return [
        LabelledSequence(
            f"{source.path.name}/{clip}",
            [_mono(sample, source) for sample in sorted(found, key=lambda sample: _number(sample.image))],
        )
        for clip, found in sorted(clips.items())
    ]


def _number(image: Path) -> tuple[int, str]:
    numbers = re.findall(r"\d+", image.stem)
    return int(numbers[-1]) if numbers else 0, image.stem


def _mono(sample: Sample, source: Source) -> LabelledPair:
    size = read_image(sample.image, source).shape[1::-1]
    return LabelledPair(size, partial(_read_mono, sample, source), (Truth(read_boxes(sample, source), sample.label),))


def _read_mono(sample: Sample, source: Source) -> tuple[Frame, Frame]:
    frame = Frame(read_image(sample.image, source))
    return frame, frame


def _stereo(folder: Path) -> LabelledSequence:
    """A folder as `offline_tools.scenes.sequence.write_sequence` writes it."""
    try:
        size = json.loads((folder / "calibration.json").read_text())
        moments = json.loads((folder / "truth.json").read_text())
        scale = np.array([size["width"], size["height"]] * 2, np.float32)
        pairs = []
        for number, moment in enumerate(moments):
            files = folder / "left" / f"{number:06d}.png", folder / "right" / f"{number:06d}.png"
            truth = tuple(_truth(moment["cones"], eye, scale) for eye in ("left", "right"))
            pairs.append(LabelledPair((size["width"], size["height"]), partial(_read_stereo, files), truth))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{folder} is no stereo sequence ({error}): make one with `cone-tools scenes drive`"
        ) from error
    return LabelledSequence(folder.name, pairs)


def _truth(cones: Sequence[dict[str, object]], eye: str, scale: NDArray[np.float32]) -> Truth:
    seen = [cone for cone in cones if cone[eye] is not None]
    boxes = np.array([cone[eye] for cone in seen], np.float32).reshape(-1, 4) / scale
    return Truth(boxes, np.array([CLASS_NAMES.index(str(cone["class"])) for cone in seen], np.int64))


def _read_stereo(files: tuple[Path, Path]) -> tuple[Frame, Frame]:
    left, right = (cv2.imread(str(file), cv2.IMREAD_COLOR) for file in files)
    if left is None or right is None:
        raise DatasetError(f"{files[0] if left is None else files[1]} is not an image that OpenCV can decode")
    return Frame(left), Frame(right)
