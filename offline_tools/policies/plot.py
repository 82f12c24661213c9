# SPDX-License-Identifier: AGPL-3.0-only
"""The Pareto front as a picture: accuracy against cost, and cost against escalation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from offline_tools.policies.sweep import Sweep, Tried

# Okabe and Ito's colours, which colour-blind readers tell apart.
_FAMILIES = {
    "fixed_320": ("fixed 320", "#000000", "s"),
    "fixed_640": ("fixed 640", "#000000", "D"),
    "cascade": ("cascade 320, 640", "#D55E00", "o"),
    "band": ("320 and a band", "#0072B2", "o"),
    "zoom": ("320 and a zoom", "#56B4E9", "o"),
    "after_640": ("640 and a band or a zoom", "#E69F00", "v"),
    "predictive": ("predictive, one pass", "#009E73", "^"),
}


def plot(file: Path, sweep: Sweep) -> None:
    """Writes the picture of one machine's sweep as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.5), layout="constrained")
    accuracy, far, rates = figure.subplots(1, 3)
    _against_cost(accuracy, sweep, lambda one: 100 * one.outcome.map50, lambda one: one.map50_loss_pt, "mAP50 (%)")
    _against_cost(
        far, sweep, lambda one: 100 * one.outcome.recall_far, lambda one: one.far_recall_loss_pt,
        "recall of far cones, under 22 px (%)",
    )  # fmt: skip
    _against_rate(rates, sweep)
    handles, labels = accuracy.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=(len(labels) + 1) // 2, frameon=False)
    within = f": costs within {sweep.costs.error_pct:.0f} %" if sweep.costs.simulated else ""
    figure.suptitle(f"Adaptive policies on {sweep.costs.machine}{within}")
    figure.savefig(file, dpi=110)


def _family(one: Tried) -> str:
    changes = one.candidate.changes
    return "after_640" if changes.get("policy.strip_after_640") else str(changes["policy.name"])


def _against_cost(axes, sweep: Sweep, value: Callable[[Tried], float], loss: Callable[[Tried], float], label: str):  # type: ignore[no-untyped-def]
    for family, (name, colour, marker) in _FAMILIES.items():
        of = [one for one in sweep.tried if _family(one) == family]
        if not of:
            continue
        x = [one.cost_ratio for one in of]
        axes.scatter(x, [value(one) for one in of], color=colour, marker=marker, s=36, alpha=0.8, label=name, zorder=3)
        p99 = [one.p99_ratio for one in of]
        axes.scatter(p99, [value(one) for one in of], color=colour, marker="|", s=30, alpha=0.35, zorder=2)
    front = sweep.front(loss)
    axes.plot([one.cost_ratio for one in front], [value(one) for one in front], color="#999999", lw=1.2, zorder=1,
              label="Pareto front")  # fmt: skip
    for one, name, colour in ((sweep.original, "original cascade", "#D55E00"), (sweep.chosen, "chosen", "#CC79A7")):
        axes.scatter([one.cost_ratio], [value(one)], s=170, facecolors="none", edgecolors=colour, linewidths=2,
                     label=name, zorder=4)  # fmt: skip
    axes.set_xlabel("mean cost of a pair / fixed 640   (bars: p99)")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)


def _against_rate(axes, sweep: Sweep) -> None:  # type: ignore[no-untyped-def]
    costs = sweep.costs
    ms = costs.ms
    rates = np.linspace(0, 1, 2)
    for policy, second in (("cascade", "640"), ("band", "band"), ("zoom", "zoom")):
        if second not in ms:
            continue
        _, colour, marker = _FAMILIES[policy]
        of = [one for one in sweep.tried if _family(one) == policy]
        axes.plot(rates, (ms["320"] + rates * costs.second(second)) / ms["640"], color=colour, lw=1, alpha=0.6)
        axes.scatter([one.outcome.escalation_rate for one in of], [one.cost_ratio for one in of], color=colour,
                     marker=marker, s=36, alpha=0.8, zorder=3)  # fmt: skip
    axes.axhline(1.0, color="#000000", lw=1)
    even = costs.break_even
    if 0 < even < 1:
        right = even > 0.5
        axes.axvline(even, color="#555555", lw=1, ls="--")
        text = f"break-even of the cascade\n(t640 - t320) / t640 as second = {even:.2f}"
        axes.annotate(text, (even, 0.0), (-6 if right else 6, 8),
                      textcoords="offset points", ha="right" if right else "left", va="bottom", fontsize=9)  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel("share of frames with a second pass")
    axes.set_ylabel("mean cost / fixed 640")
    axes.grid(alpha=0.25)
