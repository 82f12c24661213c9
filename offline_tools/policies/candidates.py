# SPDX-License-Identifier: AGPL-3.0-only
"""The settings that a sweep tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cone_detector.adaptive.evidence import SIGNALS
from cone_detector.adaptive.passes import BAND, HIGH, LOW, ZOOM
from cone_detector.settings import Value

# The plan that this project began with: 640 again, whole, wherever the mean confidence at 320 is below 0.80.
ORIGINAL = "cascade, mean confidence 0.80"
# What the defaults of the settings come to.
SHIPPED = "band, as shipped"


@dataclass(frozen=True)
class Candidate:
    """Settings to try; all others are the defaults. name: for people, unique."""

    name: str
    changes: Mapping[str, Value]


def candidates(passes: Mapping[str, object]) -> list[Candidate]:
    """All that can run with the engines at hand. passes: their names."""
    # Their evidence stays as it is by default, for whoever changes the policy while driving.
    found = [Candidate(f"fixed {name}", {"policy.name": f"fixed_{name}"}) for name in (LOW, HIGH)]
    if BAND in passes:
        found.append(Candidate(SHIPPED, {"policy.name": "band"}))
    found += [_candidate(f"cascade, {name}", "cascade", on, limits) for name, on, limits in _evidence()]
    for strip in (each for each in (BAND, ZOOM) if each in passes):
        for title, after_640 in ((strip, False), (f"{HIGH} and {strip}", True)):
            found.append(_candidate(f"{title}, always", strip, strip_after_640=after_640, band_on_evidence=False))
            found += [
                _candidate(f"{title}, {name}", strip, on, limits, strip_after_640=after_640, band_on_evidence=True)
                for name, on, limits in _evidence()
            ]
    if BAND in passes:
        found += [
            _candidate(
                f"predictive, under {size} px, refresh {refresh}",
                "predictive",
                ("nothing_seen", "lost_tracks"),
                {"size_limit_px": size, "refresh_frames": refresh},
            )
            for size in (14.0, 18.0, 24.0)
            for refresh in (5, 15)
        ]
    return found


def _evidence() -> Iterator[tuple[str, tuple[str, ...], dict[str, Value]]]:
    """Each signal alone over a range of limits, then some together."""
    for confidence in (0.50, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85):
        yield f"mean confidence {confidence:.2f}", ("mean_confidence",), {"min_mean_confidence": confidence}
    for confidence in (0.40, 0.45, 0.50, 0.60):
        both = ("nothing_seen", "lowest_confidence")
        yield f"lowest confidence {confidence:.2f} or nothing seen", both, {"min_lowest_confidence": confidence}
    for count in (0, 1, 2, 3, 4, 6):
        yield f"more than {count} ambiguous", ("ambiguous",), {"max_ambiguous": count}
    for size in (12.0, 14.0, 16.0, 18.0, 24.0):
        yield f"cones under {size:.0f} px", ("size_limit",), {"size_limit_px": size}
    for gap in (2.0, 2.5, 4.0):
        yield f"gap of {gap} steps", ("row_gap",), {"max_row_gap": gap}
    for count in (0, 1, 2):
        yield f"more than {count} lost", ("lost_tracks",), {"max_lost_tracks": count}
    yield "more than 1 more in one eye", ("disagreement",), {"max_disagreement": 1}
    for size in (14.0, 18.0):
        together: dict[str, Value] = {"size_limit_px": size, "max_lost_tracks": 0}
        yield f"cones under {size:.0f} px or lost", ("nothing_seen", "size_limit", "lost_tracks"), together
    yield (
        "any signal",
        tuple(signal.name for signal in SIGNALS),
        {"size_limit_px": 14.0, "max_lost_tracks": 0, "max_ambiguous": 1, "min_mean_confidence": 0.65},
    )


def _candidate(
    name: str,
    policy: str,
    on: tuple[str, ...] = (),
    limits: Mapping[str, Value] | None = None,
    **more: Value,
) -> Candidate:
    evidence: dict[str, Value] = {f"policy.evidence.{signal.name}": signal.name in on for signal in SIGNALS}
    named = {f"policy.{key}": value for key, value in {**(limits or {}), **more}.items()}
    return Candidate(
        name, {"policy.name": policy, "policy.hold_frames": 0, "policy.refresh_frames": 0, **evidence, **named}
    )
