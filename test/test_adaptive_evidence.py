# SPDX-License-Identifier: Apache-2.0
"""Each signal fires on what it stands for and on nothing else, only when switched on, and says which eye."""

import numpy as np
import pytest
from doubles import CANVAS, rows_of

from cone_detector.adaptive import NO_ROWS, Sight
from cone_detector.adaptive.evidence import SIGNALS, EvidenceReader
from cone_detector.settings import Settings

BLUE, YELLOW = 0, 4
OFF = {f"policy.evidence.{signal.name}": False for signal in SIGNALS}


def reader(*on: str, **limits) -> EvidenceReader:
    changes = OFF | {f"policy.evidence.{name}": True for name in on} | {f"policy.{k}": v for k, v in limits.items()}
    return EvidenceReader(Settings(changes), CANVAS)


def cones(*scores: float, height: float = 40.0, x: float = 100.0) -> np.ndarray:
    return rows_of(*[(x + 40 * i, 200 - height, x + 40 * i + 20, 200, s, BLUE) for i, s in enumerate(scores)])[
        : len(scores)
    ]


def row_of_cones(*distances: float, label: int = BLUE) -> np.ndarray:
    """One edge of the track: box heights go with one over the distance."""
    boxes = [(60 * i + 20, 200, 60 * i + 40, 200 + 300 / z, 0.9, label) for i, z in enumerate(distances)]
    return rows_of(*boxes)[: len(boxes)]


def seen(left, right=None, faint=NO_ROWS) -> Sight:
    return Sight((left, cones(0.9) if right is None else right), (faint, NO_ROWS))


EVEN, GAPPED = row_of_cones(5, 10, 15, 20, 25), row_of_cones(5, 10, 15, 35, 40)


@pytest.mark.parametrize(
    ("signal", "quiet", "doubtful"),
    [
        ("nothing_seen", seen(cones(0.4)), seen(NO_ROWS)),
        ("mean_confidence", seen(cones(0.95, 0.7)), seen(cones(0.95, 0.6))),
        ("lowest_confidence", seen(cones(0.9, 0.55)), seen(cones(0.9, 0.45))),
        ("ambiguous", seen(cones(0.9, *[0.48] * 3)), seen(cones(0.9, *[0.48] * 4))),
        ("ambiguous", seen(cones(0.9), faint=cones(*[0.05] * 4)), seen(cones(0.9), faint=cones(*[0.3] * 4))),
        # Below their class's threshold, but too sure to be ambiguous.
        ("ambiguous", seen(cones(0.9), faint=cones(*[0.8] * 4)), seen(cones(0.9), faint=cones(*[0.49] * 4))),
        ("disagreement", seen(cones(0.9), cones(*[0.9] * 4)), seen(cones(0.9), cones(*[0.9] * 5))),
        ("size_limit", seen(cones(0.9, height=19)), seen(cones(0.9, height=17))),
        ("row_gap", seen(EVEN), seen(GAPPED)),
    ],
)
def test_a_signal_fires_beyond_its_limit_and_names_the_eye(signal, quiet, doubtful):
    reads = reader(signal)
    assert reads.read(quiet, (NO_ROWS, NO_ROWS)).reason == ""
    evidence = reads.read(doubtful, (NO_ROWS, NO_ROWS))
    phrase = next(each.phrase for each in SIGNALS if each.name == signal)
    assert evidence.reason == f"{phrase} left"
    assert list(evidence.as_dict()) == [signal]


def test_a_signal_that_is_off_is_silent_whatever_is_seen():
    assert reader().read(seen(NO_ROWS, GAPPED), (GAPPED, GAPPED)).reason == ""


def test_several_doubts_are_told_together():
    evidence = reader("mean_confidence", "size_limit").read(
        seen(cones(0.5, height=10), cones(0.9, height=10)), (NO_ROWS, NO_ROWS)
    )
    assert evidence.reason == "mean confidence left, small cones both"
    assert evidence.as_dict()["size_limit"] == (10.0, 10.0)
    assert str(evidence) == "mean_confidence 0.50/0.90, size_limit 10.00/10.00"


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        (cones(0.9), NO_ROWS, 1),
        (cones(0.9), cones(0.9), 0),
        (cones(0.9), cones(0.9, x=120), 0),  # moved by half its height
        (cones(0.9), cones(0.9, x=300), 1),  # another cone
        (cones(0.9, 0.9), cones(0.9), 1),
        (cones(0.9, x=2), NO_ROWS, 0),  # left the image by its side
        (NO_ROWS, cones(0.9), 0),
    ],
)
def test_a_cone_is_lost_where_it_should_still_be_seen(before, now, lost):
    evidence = reader("lost_tracks").read(seen(now), (before, NO_ROWS))
    assert evidence.as_dict()["lost_tracks"] == (lost, 0)
    assert bool(evidence.reason) == bool(lost)


@pytest.mark.parametrize(
    "row",
    [
        row_of_cones(5, 10, 30),  # too few to know their spacing
        np.concatenate((row_of_cones(5, 10, 15), row_of_cones(30, 35, 40, label=YELLOW))),  # two edges of the track
        NO_ROWS,
    ],
)
def test_no_gap_is_seen_where_none_can_be_known(row):
    assert reader("row_gap").read(seen(row), (NO_ROWS, NO_ROWS)).reason == ""
