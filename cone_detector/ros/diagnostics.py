# SPDX-License-Identifier: Apache-2.0
"""What `/diagnostics` says once a second: what the node does, how well, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.utilities import get_rmw_implementation_identifier

from cone_detector.engine.contract import Engine
from cone_detector.messages import status_of
from cone_detector.pairing import PairingCounts
from cone_detector.ros.statistics import Statistics, StreamWatch
from cone_detector.transport import profile_in_use

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

# Fast DDS keeps shared memory of half a megabyte unless a profile says otherwise: a camera image does not fit.
_DEFAULT_SEGMENT_BYTES = 512 * 1024
_LOSS_WORTH_A_WARNING = 0.05
# Faults that cost no frame: of a picture for `image_annotated`, and of an engine that is no longer in use.
_HARMLESS = ("annotation", "closing")
# Two reports running: a pair that came just before a report may well be in work.
_STALL_S = 2.0


@dataclass(frozen=True)
class Snapshot:
    """All that a report is made of.

    state: of the lifecycle. startup_fault: why the node could not be configured. The rest is known once it is:
    choice: why this engine. recovery: what came of an engine that failed. misfits, missing: problems with publishers
    of inputs. profile: the file of the shared-memory profile.
    """

    state: str
    startup_fault: str
    statistics: Statistics
    enabled: bool = True
    engine: Engine | None = None
    choice: str = ""
    recovery: str = ""
    counts: PairingCounts | None = None
    streams: Mapping[str, StreamWatch] = field(default_factory=dict)
    no_cones_reason: str = ""
    frame_reason: str = ""
    target_frame: str = ""
    tolerance_ms: float = 0.0
    misfits: Sequence[str] = ()
    missing: Sequence[str] = ()
    profile: str = ""


@dataclass(frozen=True)
class Counts:
    """Totals at a report, or what came since the one before. images: by topic. faults: by kind."""

    images: dict[str, int] = field(default_factory=dict)
    unpaired: int = 0
    paired: int = 0
    dropped: int = 0
    undecoded: int = 0
    frames: int = 0
    escalated: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class Reporter:
    """Makes reports; keeps the totals of the last one."""

    def __init__(self, seconds: float) -> None:
        """seconds: now, of a steady clock."""
        self._seconds = seconds
        self._moved_s = seconds
        self._totals = Counts()

    def report(self, now: Snapshot, seconds: float) -> list[DiagnosticStatus]:
        """The statuses of `/diagnostics`. seconds: of the steady clock."""
        totals, span = _totals(now), max(seconds - self._seconds, 1e-3)
        recent = _since(totals, self._totals)
        self._totals, self._seconds = totals, seconds
        hardware = now.engine.device if now.engine else ""
        parts = [_node_status(now)]
        if now.engine is not None and now.counts is not None:
            parts += [
                _input_status(now, now.counts, recent, span),
                _inference_status(now, now.engine, recent, span, self._stalled(recent)),
                _stereo_status(now),
                _transport_status(now),
            ]
        return [
            status_of(f"cone_detector: {name}", level, text, values, hardware) for name, level, text, values in parts
        ]

    def _stalled(self, recent: Counts) -> float:
        """For how many seconds pairs have come in without a frame that finished or failed."""
        if recent.frames or recent.faults.get("frame") or not recent.paired:
            self._moved_s = self._seconds
        return self._seconds - self._moved_s


Part = tuple[str, bytes, str, dict[str, Any]]


def _node_status(now: Snapshot) -> Part:
    values = {"state": now.state, "enabled": now.enabled, "startup_fault": now.startup_fault}
    if now.startup_fault:
        return "node", ERROR, now.startup_fault, values
    if now.state == "finalized":
        return "node", WARN, "finalized: restart the node", values
    if now.state != "active":
        return "node", WARN, f"{now.state}: configure and activate it (ros2 lifecycle set)", values
    if not now.enabled:
        return "node", WARN, "disabled by service: call ~/enable with true", values
    return "node", OK, "active", values


def _input_status(now: Snapshot, counts: PairingCounts, recent: Counts, span: float) -> Part:
    rates = {name: count / span for name, count in recent.images.items()}
    bad = {kind: count for kind, count in recent.faults.items() if kind.startswith("image ")}
    miss_ms = (counts.nearest_miss.take() or 0) / 1e6
    values = {
        **{f"rate {name} (Hz)": rate for name, rate in rates.items()},
        "pairs": counts.paired,
        "pair rate (Hz)": recent.paired / span,
        "dropped pairs": counts.dropped,
        "dropped undecoded": counts.undecoded,
        "unpaired left": counts.unpaired[0],
        "unpaired right": counts.unpaired[1],
        "skew (ms)": counts.skew_ns / 1e6,
        "largest skew (ms)": counts.max_skew_ns / 1e6,
        "nearest miss (ms)": miss_ms,
        "stamps that jumped back": counts.resets,
        **_fault_values(now.statistics, "image "),
    }
    if now.state != "active":
        return "input", OK, "not active", values
    if now.misfits:
        return "input", ERROR, "; ".join(now.misfits), values
    if now.missing:
        return "input", ERROR, "; ".join(now.missing), values
    silent = [name for name, rate in rates.items() if rate == 0]
    if silent:
        return "input", ERROR, f"no image on {', '.join(silent)}: look at the camera and its cable", values
    if bad:
        last_fault = now.statistics.faults[next(iter(bad))].last
        return "input", ERROR, f"{sum(bad.values())} unusable images: {last_fault}", values
    if recent.unpaired and not recent.paired:
        text = f"no pairs: the nearest stamps differ by {miss_ms:.1f} ms, sync.tolerance_ms is {now.tolerance_ms:g}"
        return "input", ERROR, text + ": trigger both cameras together, or raise it", values
    if recent.undecoded:
        text = f"{recent.undecoded} pairs dropped undecoded: they come faster than this CPU decodes them"
        return "input", WARN, f"{text}: take raw images, or fewer", values
    if recent.dropped:
        return "input", WARN, f"{recent.dropped} pairs dropped: they come faster than they are processed", values
    if recent.unpaired:
        return "input", WARN, f"{recent.unpaired} images without a partner", values
    return "input", OK, "both cameras in step", values


def _inference_status(now: Snapshot, engine: Engine, recent: Counts, span: float, stalled_s: float) -> Part:
    manifest = next(iter(engine.manifests.values()))
    values = {
        "engine": manifest.model,
        "precision": manifest.precision,
        "runtime": manifest.runtime.name,
        "passes": ", ".join(engine.manifests),
        "device": engine.device,
        "chosen": now.choice,
        "recovery": now.recovery,
        "notes": "; ".join(engine.notes),
        "frames": now.statistics.frames,
        "rate (Hz)": recent.frames / span,
        "escalated (%)": 100.0 * recent.escalated / recent.frames if recent.frames else 0.0,
        **{f"passes of {name}": count for name, count in sorted(now.statistics.passes.items())},
        **{
            f"{stage} p50/p95/p99 (ms)": " / ".join(f"{value:.2f}" for value in which)
            for stage, which in now.statistics.percentiles(50, 95, 99).items()
        },
        **_fault_values(now.statistics, "frame"),
        **_fault_values(now.statistics, _HARMLESS),
    }
    if failed := recent.faults.get("frame"):
        return "inference", ERROR, f"{failed} frames failed: {now.statistics.faults['frame'].last}", values
    if stalled_s >= _STALL_S:
        text = f"no frame finished in {stalled_s:.0f} s, though pairs come in: if it stays so, restart the node"
        return "inference", ERROR, text, values
    if now.recovery:
        return "inference", WARN, now.recovery, values
    harmless = [f"{kind}: {now.statistics.faults[kind].last}" for kind in _HARMLESS if kind in recent.faults]
    if harmless:
        return "inference", WARN, "; ".join(harmless), values
    return "inference", OK, f"{manifest.model} {manifest.precision} on {engine.device}", values


def _stereo_status(now: Snapshot) -> Part:
    values = {"target_frame": now.target_frame, "no_cones": now.no_cones_reason, "frame": now.frame_reason}
    if now.no_cones_reason:
        return "stereo", WARN, f"2D only: {now.no_cones_reason}", values
    if now.frame_reason:
        return "stereo", WARN, now.frame_reason, values
    return "stereo", OK, "cones are located", values


def _transport_status(now: Snapshot) -> Part:
    lost = {name: stream.lost_share() for name, stream in now.streams.items()}
    largest = max((stream.bytes for stream in now.streams.values()), default=0)
    rmw = get_rmw_implementation_identifier()
    own_profile = profile_in_use()
    values = {
        "rmw": rmw,
        "profile": own_profile or "none",
        "image (bytes)": largest,
        **{f"lost {name} (%)": 100 * share for name, share in lost.items()},
    }
    worst = max(lost.values(), default=0.0)
    if worst < _LOSS_WORTH_A_WARNING:
        return "transport", OK, "images arrive as they are sent", values
    text = f"{100 * worst:.0f} % of the images sent do not arrive"
    if "fastrtps" not in rmw or largest <= _DEFAULT_SEGMENT_BYTES:
        return "transport", WARN, f"{text}: look at the load and the network between camera and node", values
    who = "camera driver" if own_profile else "camera driver and this node"
    text += (
        f", as when a publisher has no shared-memory profile: start the {who} with "
        f"FASTRTPS_DEFAULT_PROFILES_FILE={now.profile}; with the profile on both sides, look at the CPU load"
    )
    return "transport", WARN, text, values


def _fault_values(statistics: Statistics, prefix: str | tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for kind, fault in list(statistics.faults.items()):
        if kind.startswith(prefix):
            values[f"faults {kind}"] = fault.count
            values[f"last fault {kind}"] = fault.last
    return values


def _totals(now: Snapshot) -> Counts:
    counts, statistics = now.counts or PairingCounts(), now.statistics
    return Counts(
        {name: stream.total for name, stream in now.streams.items()},
        sum(counts.unpaired),
        counts.paired,
        counts.dropped,
        counts.undecoded,
        statistics.frames,
        statistics.escalated,
        {kind: fault.count for kind, fault in list(statistics.faults.items())},
    )


def _since(now: Counts, last: Counts) -> Counts:
    """What came between two totals; a total that has fallen began anew with a clean-up."""

    def rise(new: int, old: int) -> int:
        return new - old if new >= old else new

    return Counts(
        {name: rise(count, last.images.get(name, 0)) for name, count in now.images.items()},
        rise(now.unpaired, last.unpaired),
        rise(now.paired, last.paired),
        rise(now.dropped, last.dropped),
        rise(now.undecoded, last.undecoded),
        rise(now.frames, last.frames),
        rise(now.escalated, last.escalated),
        {kind: fresh for kind, count in now.faults.items() if (fresh := count - last.faults.get(kind, 0))},
    )
