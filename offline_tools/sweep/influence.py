# SPDX-License-Identifier: AGPL-3.0-only
"""What mattered: how much each setting explains of the differences between finished trials.

Two views, since neither is enough. The rank correlation with a permutation test says whether a setting has an effect
that chance does not explain, and which way it goes. fANOVA (Hutter et al. 2014, by Optuna) also sees effects that rise
and fall, but always hands out shares, even of noise: its spread over bootstrap samples stands beside it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from offline_tools.sweep.record import TrialRecord
from offline_tools.sweep.space import Parameter, Space, distributions, encode

# Below, a rank correlation must exceed 0.63 to be told from chance, and fANOVA splits noise.
_FEWEST_TRIALS = 10
_FEWEST_PER_SETTING = 3
_PERMUTATIONS = 2000
_BOOTSTRAPS = 200
_FOREST_BOOTSTRAPS = 12
_TREES = 32
_LEVEL = 0.05


@dataclass(frozen=True)
class Influence:
    """One setting's effect on the metric.

    correlation: Spearman's of a number, with its 95 % bootstrap interval; None for a choice.
    explained: share of the ranks' variance that the options of a choice explain (eta squared); None for a number.
    p: chance of as large an effect without any, by permutation, corrected for the number of settings (Holm).
    importance: fANOVA's share of the variance, and its standard deviation over bootstrap samples.
    """

    name: str
    correlation: float | None
    interval: tuple[float, float] | None
    explained: float | None
    p: float
    importance: float
    importance_std: float
    verdict: str


def too_few(trials: Sequence[TrialRecord], space: Space) -> str:
    """Why nothing can be said of these finished trials; empty where something can."""
    needed = max(_FEWEST_TRIALS, _FEWEST_PER_SETTING * len(space))
    if len(trials) < needed:
        return (
            f"too few trials to say what mattered: {len(trials)} ran to their end, {len(space)} settings need {needed}"
        )
    if len({trial.value for trial in trials}) < 3:
        return "all trials ended with the same figure: nothing mattered, or nothing was learnt"
    return ""


def influences(trials: Sequence[TrialRecord], space: Space, seed: int = 0) -> list[Influence]:
    """The influence of each setting, strongest first, from trials that ran to their end (see `too_few`)."""
    draw = np.random.default_rng(seed)
    values = np.array([trial.value for trial in trials], float)
    ranks = rankdata(values)
    shares, spreads = _fanova(trials, space, draw)
    tested = {name: _test(parameter, _column(parameter, trials), ranks, draw) for name, parameter in space.items()}
    adjusted = _holm({name: result[-1] for name, result in tested.items()})
    found = []
    for name, (correlation, interval, explained, _) in tested.items():
        verdict = _verdict(space[name], trials, correlation, adjusted[name])
        effect = (correlation, interval, explained, adjusted[name])
        found.append(Influence(name, *effect, shares[name], spreads[name], verdict))
    return sorted(found, key=lambda one: (one.p > _LEVEL, -one.importance))


def _column(parameter: Parameter, trials: Sequence[TrialRecord]) -> NDArray[np.float64]:
    """Ranks of a number, or the index of each trial's option. (N,) float64."""
    values = [trial.params[parameter.name] for trial in trials]
    if parameter.kind == "choice":
        options = [json.dumps(option) for option in parameter.options]
        return np.array([options.index(json.dumps(value)) for value in values], float)
    return rankdata(np.array(values, float))


def _test(
    parameter: Parameter, column: NDArray[np.float64], ranks: NDArray[np.float64], draw: np.random.Generator
) -> tuple[float | None, tuple[float, float] | None, float | None, float]:
    """(correlation, interval, explained, p) of one setting, before the correction for how many there are."""
    if np.ptp(column) == 0:
        return None, None, None, 1.0
    if parameter.kind == "choice":
        explained = _eta_squared(column, ranks)
        return None, None, explained, _permutation_p(lambda of: _eta_squared(column, of), ranks, draw)
    correlation = _correlation(column, ranks)
    samples = draw.integers(0, len(ranks), (_BOOTSTRAPS, len(ranks)))
    spread = [_correlation(rankdata(column[rows]), rankdata(ranks[rows])) for rows in samples]
    low, high = np.percentile(spread, (2.5, 97.5))
    p = _permutation_p(lambda of: abs(_correlation(column, of)), ranks, draw)
    return correlation, (float(low), float(high)), None, p


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _eta_squared(groups: NDArray[np.float64], ranks: NDArray[np.float64]) -> float:
    total = float(((ranks - ranks.mean()) ** 2).sum())
    between = sum(
        (groups == group).sum() * (ranks[groups == group].mean() - ranks.mean()) ** 2 for group in np.unique(groups)
    )
    return float(between) / total if total else 0.0


def _permutation_p(
    statistic: Callable[[NDArray[np.float64]], float], ranks: NDArray[np.float64], draw: np.random.Generator
) -> float:
    observed = statistic(ranks)
    larger = sum(statistic(draw.permutation(ranks)) >= observed - 1e-12 for _ in range(_PERMUTATIONS))
    return (1 + larger) / (1 + _PERMUTATIONS)


def _holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: the chance of any false alarm among all settings stays below the level."""
    adjusted, floor = {}, 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        floor = min(1.0, max(floor, p[name] * (len(p) - place)))
        adjusted[name] = floor
    return adjusted


def _verdict(parameter: Parameter, trials: Sequence[TrialRecord], correlation: float | None, p: float) -> str:
    if p > _LEVEL:
        return "cannot be told from chance"
    if correlation is not None:
        return "more is better" if correlation > 0 else "less is better"
    medians = {
        str(option): np.median([trial.value for trial in trials if trial.params[parameter.name] == option] or [0.0])
        for option in parameter.options
    }
    return f"{max(medians, key=lambda option: medians[option])} is best"


def _fanova(
    trials: Sequence[TrialRecord], space: Space, draw: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]]:
    """The share of each setting, by fANOVA, and its standard deviation over bootstrap samples."""
    shares = _forest(trials, space)
    resampled = []
    for _ in range(_FOREST_BOOTSTRAPS):
        rows = draw.integers(0, len(trials), len(trials))
        sample = [trials[row] for row in rows]
        if len({trial.value for trial in sample}) > 1:
            resampled.append(_forest(sample, space))
    spreads = {name: float(np.std([one[name] for one in resampled])) if resampled else 0.0 for name in space}
    return shares, spreads


def _forest(trials: Sequence[TrialRecord], space: Space) -> dict[str, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    kinds = distributions(space)
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(params=encode(space, trial.params), distributions=kinds, value=trial.value)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(space)))
