# SPDX-License-Identifier: AGPL-3.0-only
"""Accuracy against cost: what each candidate loses and saves beside fixed 640, and which one to drive with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cone_detector.adaptive.passes import HIGH, LOW, passes_of
from cone_detector.settings import Settings
from offline_tools.policies.candidates import ORIGINAL, Candidate
from offline_tools.policies.costs import Costs
from offline_tools.policies.judge import Judge, Outcome

# Less than this saved, and a fixed policy's steadiness is worth more.
_WORTH_IT = 0.95


class SweepError(ValueError):
    """Outcomes from which nothing can be chosen; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What the chosen policy may lose and cost beside fixed 640. Points are hundredths.

    cost_ratio: of the mean. p99_ratio: of the slowest frame in a hundred. budget_ms: where given, nothing of that
    counts: whatever finds most and takes no longer than this for the passes of 99 frames in a hundred.
    """

    map50_loss_pt: float = 0.5
    far_recall_loss_pt: float = 1.0
    cost_ratio: float = 0.6
    p99_ratio: float = 0.75
    budget_ms: float = 0.0


@dataclass(frozen=True)
class Tried:
    """One candidate beside fixed 640. mean_ms, p99_ms: of a frame's passes; cost_ratio, p99_ratio: over fixed 640's."""

    candidate: Candidate
    outcome: Outcome
    mean_ms: float
    p99_ms: float
    cost_ratio: float
    p99_ratio: float
    map50_loss_pt: float
    far_recall_loss_pt: float
    near_recall_loss_pt: float


@dataclass(frozen=True)
class Sweep:
    """All candidates for one machine. chosen: to drive with. reason: why, in one sentence."""

    costs: Costs
    tried: Sequence[Tried]
    chosen: Tried
    reason: str

    def named(self, name: str) -> Tried:
        """The candidate of that name."""
        return next(one for one in self.tried if one.candidate.name == name)

    @property
    def original(self) -> Tried:
        return self.named(ORIGINAL)

    @property
    def equal_cost(self) -> Tried:
        """The adaptive candidate that finds most far cones at no more than the mean cost of fixed 640."""
        adaptive = [one for one in self.tried if not _fixed(one) and one.cost_ratio <= 1.0]
        return min(adaptive or self.tried, key=lambda one: (one.far_recall_loss_pt, one.cost_ratio))

    def front(self, loss: Callable[[Tried], float]) -> list[Tried]:
        """The candidates that no other one beats in both mean cost and `loss`, by rising cost."""
        kept: list[Tried] = []
        for one in sorted(self.tried, key=lambda one: (one.cost_ratio, loss(one))):
            if not kept or loss(one) < loss(kept[-1]):
                kept.append(one)
        return kept


def judge_all(
    judge: Judge, candidates: Sequence[Candidate], progress: Callable[[str], None] | None = None
) -> list[tuple[Candidate, Outcome]]:
    """The outcome of each candidate. progress: told each name as it is done."""
    outcomes = []
    for candidate in candidates:
        outcomes.append((candidate, judge.judge(candidate.changes)))
        if progress is not None:
            progress(candidate.name)
    return outcomes


def sweep(outcomes: Sequence[tuple[Candidate, Outcome]], costs: Costs, limits: Limits) -> Sweep:
    """Prices the outcomes for a machine; chooses the adaptive one that finds most within `limits`, or a fixed one.

    Where none keeps to the limit of cost, the cheapest one that costs less than fixed 640 is taken. Of simulated costs,
    the reason says whether their error could turn the choice. Raises SweepError where fixed 640 finds nothing, or
    nothing keeps to a budget.
    """
    found = _sweep(outcomes, costs, limits)
    if not costs.simulated:
        return found
    if limits.budget_ms:
        within = found.chosen.p99_ms * (1 + costs.error_pct / 100) <= limits.budget_ms
        firm = "within it even with" if within else "not certain, since it may take longer by"
    else:
        ends = [
            _sweep(outcomes, costs.tilted(percent), limits).chosen for percent in (costs.error_pct, -costs.error_pct)
        ]
        same = all(_fixed(one) == _fixed(found.chosen) for one in ends)
        firm = "the same at either end of" if same else "not certain, since another choice lies within"
    return replace(found, reason=f"{found.reason}; {firm} the {costs.error_pct:.0f} % that the costs may be off")


def _sweep(outcomes: Sequence[tuple[Candidate, Outcome]], costs: Costs, limits: Limits) -> Sweep:
    outcomes = [(candidate, outcome) for candidate, outcome in outcomes if _priced(candidate, costs)]
    full = next(outcome for candidate, outcome in outcomes if candidate.changes["policy.name"] == "fixed_640")
    if not full.recall_near and not full.recall_far:
        raise SweepError("fixed 640 finds no cone on these sequences: tune engines of a trained model")
    price = costs.per_frame(full.passes)
    tried = [_price(candidate, outcome, full, costs, float(price.mean())) for candidate, outcome in outcomes]
    if limits.budget_ms:
        return _best_within(limits.budget_ms, tried, costs)
    good = [
        one
        for one in tried
        if one.map50_loss_pt <= limits.map50_loss_pt and one.far_recall_loss_pt <= limits.far_recall_loss_pt
    ]
    fixed = min((one for one in good if _fixed(one)), key=lambda one: one.cost_ratio)
    worth = min(fixed.cost_ratio, _WORTH_IT)
    adaptive = [one for one in good if not _fixed(one) and one.cost_ratio < worth and one.p99_ratio <= limits.p99_ratio]
    if within := [one for one in adaptive if one.cost_ratio <= limits.cost_ratio]:
        best = min(within, key=_loss)
        return Sweep(costs, tried, best, _praise(best))
    if adaptive:
        best = min(adaptive, key=lambda one: (round(one.cost_ratio, 2), _loss(one)))
        return Sweep(costs, tried, best, _praise(best))
    return Sweep(costs, tried, fixed, _why_fixed(fixed, tried, costs))


def _best_within(budget_ms: float, tried: Sequence[Tried], costs: Costs) -> Sweep:
    within = [one for one in tried if one.p99_ms <= budget_ms]
    if not within:
        fastest = min(one.p99_ms for one in tried)
        raise SweepError(
            f"no policy takes {budget_ms:g} ms or less on {costs.machine}: the fastest takes {fastest:.2f}"
        )
    best = min(within, key=lambda one: (_loss(one), one.mean_ms))
    return Sweep(
        costs,
        tried,
        best,
        f"{_praise(best)}; the most that {budget_ms:g} ms a pair buy, of which it takes {best.mean_ms:.2f}",
    )


def _priced(candidate: Candidate, costs: Costs) -> bool:
    """Whether each pass of the policy has a known cost on the machine."""
    return all(name in costs.ms for name in passes_of(Settings(candidate.changes)))


def _price(candidate: Candidate, outcome: Outcome, full: Outcome, costs: Costs, full_ms: float) -> Tried:
    spent = costs.per_frame(outcome.passes)
    mean, p99 = float(spent.mean()), float(np.percentile(spent, 99))
    return Tried(
        candidate,
        outcome,
        mean,
        p99,
        mean / full_ms,
        p99 / full_ms,
        100 * (full.map50 - outcome.map50),
        100 * (full.recall_far - outcome.recall_far),
        100 * (full.recall_near - outcome.recall_near),
    )


def _loss(one: Tried) -> float:
    return one.map50_loss_pt + one.far_recall_loss_pt


def _fixed(one: Tried) -> bool:
    return str(one.candidate.changes["policy.name"]).startswith("fixed")


def _praise(best: Tried) -> str:
    gains = f"{-best.map50_loss_pt:+.1f} points of mAP50, {-best.far_recall_loss_pt:+.1f} points of far-cone recall"
    return f"{best.candidate.name}: {best.cost_ratio:.2f} x the cost of fixed 640, {gains}"


def _why_fixed(fixed: Tried, tried: Sequence[Tried], costs: Costs) -> str:
    name = fixed.candidate.name
    if fixed.candidate.changes["policy.name"] == "fixed_320":
        return f"{name}: it loses no more than the limits allow, and nothing is cheaper"
    always = [one for one in tried if one.outcome.escalation_rate == 1.0]
    cheapest = min((one.cost_ratio for one in always), default=float("inf"))
    if cheapest >= _WORTH_IT:
        ratio = costs.ms[LOW] / costs.ms[HIGH]
        return (
            f"{name}: adaptive passes cannot win on this machine, where 320 costs {ratio:.2f} x 640 "
            f"and two passes {cheapest:.2f} x or more"
        )
    return f"{name}: no adaptive policy stays within the limits of accuracy at less cost"
