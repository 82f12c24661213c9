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

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)

# Fast DDS keeps shared memory of half a megabyte unless a profile says otherwise: a camera image does not fit.
_DEFAULT_SEGMENT_BYTES = 512 * 1024
_LOSS_WORTH_A_WARNING = 0.05


@dataclass(frozen=True)
class Snapshot:
    """All that a report is made of.

    state: of the lifecycle. startup_fault: why the node could not be configured. The rest is known once it is:
    choice: why this engine. misfits, missing: problems with the publishers of the inputs. profile: the file of the
    shared-memory profile.
    """

    state: str
    startup_fault: str
    statistics: Statistics
    enabled: bool = True
    engine: Engine | None = None
    choice: str = ""
    counts: PairingCounts | None = None
    streams: Mapping[str, StreamWatch] = field(default_factory=dict)
    no_cones_reason: str = ""
    frame_reason: str = ""
    target_frame: str = ""
    tolerance_ms: float = 0.0
    misfits: Sequence[str] = ()
    missing: Sequence[str] = ()
    profile: str = ""


@dataclass
class Totals:
    """Counts at the last report, so that a report tells what happened since."""

    seconds: float = 0.0
    images: dict[str, int] = field(default_factory=dict)
    unpaired: int = 0
    paired: int = 0
    dropped: int = 0
    frames: int = 0
    escalated: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class Reporter:
    """Makes reports; keeps the totals of the last one."""

    def __init__(self) -> None:
        self._last = Totals()

    def report(self, now: Snapshot, seconds: float) -> list[DiagnosticStatus]:
        """The statuses of `/diagnostics`. seconds: of a steady clock."""
        last, totals = self._last, _totals(now, seconds)
        self._last = totals
        span = max(seconds - last.seconds, 1e-3)
        fresh_faults = {
            kind: count - last.faults.get(kind, 0)
            for kind, count in totals.faults.items()
            if count > last.faults.get(kind, 0)
        }
        hardware = now.engine.device if now.engine else ""
        parts = [_node_status(now)]
        if now.engine is not None and now.counts is not None:
            parts += [
                _input_status(now, now.counts, totals, last, span, fresh_faults),
                _inference_status(now, now.engine, totals, last, span, fresh_faults),
                _stereo_status(now),
                _transport_status(now),
            ]
        return [
            status_of(f"cone_detector: {name}", level, text, values, hardware) for name, level, text, values in parts
        ]


Part = tuple[str, bytes, str, dict[str, Any]]


def _node_status(now: Snapshot) -> Part:
    values = {"state": now.state, "enabled": now.enabled, "startup_fault": now.startup_fault}
    if now.startup_fault:
        return "node", ERROR, now.startup_fault, values
    if now.state != "active":
        return "node", WARN, f"{now.state}: configure and activate it (ros2 lifecycle set)", values
    if not now.enabled:
        return "node", WARN, "disabled by service: call ~/enable with true", values
    return "node", OK, "active", values


def _input_status(
    now: Snapshot, counts: PairingCounts, totals: Totals, last: Totals, span: float, faults: Mapping[str, int]
) -> Part:
    rates = {name: (totals.images[name] - last.images.get(name, 0)) / span for name in totals.images}
    unpaired, dropped = totals.unpaired - last.unpaired, totals.dropped - last.dropped
    bad = {kind: count for kind, count in faults.items() if kind.startswith("image ")}
    miss_ms = (counts.nearest_miss_ns or 0) / 1e6
    values = {
        **{f"rate {name} (Hz)": rate for name, rate in rates.items()},
        "pairs": counts.paired,
        "pair rate (Hz)": (totals.paired - last.paired) / span,
        "dropped pairs": counts.dropped,
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
    if unpaired and totals.paired == last.paired:
        text = f"no pairs: the nearest stamps differ by {miss_ms:.1f} ms, sync.tolerance_ms is {now.tolerance_ms:g}"
        return "input", ERROR, text + ": trigger both cameras together, or raise it", values
    if dropped:
        return "input", WARN, f"{dropped} pairs dropped: they come faster than they are processed", values
    if unpaired:
        return "input", WARN, f"{unpaired} images without a partner", values
    return "input", OK, "both cameras in step", values


def _inference_status(
    now: Snapshot, engine: Engine, totals: Totals, last: Totals, span: float, faults: Mapping[str, int]
) -> Part:
    frames, escalated = totals.frames - last.frames, totals.escalated - last.escalated
    manifest = next(iter(engine.manifests.values()))
    values = {
        "engine": manifest.model,
        "precision": manifest.precision,
        "runtime": manifest.runtime.name,
        "passes": ", ".join(engine.manifests),
        "device": engine.device,
        "chosen": now.choice,
        "notes": "; ".join(engine.notes),
        "frames": now.statistics.frames,
        "rate (Hz)": frames / span,
        "escalated (%)": 100.0 * escalated / frames if frames else 0.0,
        **{f"passes of {name}": count for name, count in sorted(now.statistics.passes.items())},
        **{
            f"{stage} p50/p95/p99 (ms)": " / ".join(f"{value:.2f}" for value in which)
            for stage, which in now.statistics.percentiles(50, 95, 99).items()
        },
        **_fault_values(now.statistics, "frame"),
        **_fault_values(now.statistics, "annotation"),
    }
    failed = {kind: count for kind, count in faults.items() if not kind.startswith("image ")}
    if failed:
        last_fault = now.statistics.faults[next(iter(failed))].last
        return "inference", ERROR, f"{sum(failed.values())} frames failed: {last_fault}", values
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


def _fault_values(statistics: Statistics, prefix: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for kind, fault in list(statistics.faults.items()):
        if kind.startswith(prefix):
            values[f"faults {kind}"] = fault.count
            values[f"last fault {kind}"] = fault.last
    return values


def _totals(now: Snapshot, seconds: float) -> Totals:
    counts, statistics = now.counts or PairingCounts(), now.statistics
    return Totals(
        seconds,
        {name: stream.total for name, stream in now.streams.items()},
        sum(counts.unpaired),
        counts.paired,
        counts.dropped,
        statistics.frames,
        statistics.escalated,
        {kind: fault.count for kind, fault in list(statistics.faults.items())},
    )
