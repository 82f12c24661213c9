# SPDX-License-Identifier: AGPL-3.0-only
"""What crashed runs had in common: the same last error, and settings that stand out among them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scipy.stats import fisher_exact

from offline_tools.sweep.ending import ERROR, alike
from offline_tools.sweep.record import FAILED, TrialRecord
from offline_tools.sweep.space import Parameter, Space

_LEVEL = 0.05
_FEWEST = 3


@dataclass(frozen=True)
class Rule:
    """A setting that is more frequent among failures than among the others.

    text: as "batch >= 64". failed, of: how many trials that fit it failed. failed_else, of_else: of those that do not.
    p: Fisher's exact test, one-sided, corrected for the number of rules tried (Bonferroni).
    """

    text: str
    failed: int
    of: int
    failed_else: int
    of_else: int
    p: float


@dataclass(frozen=True)
class Crash:
    """Failures of one kind. error: the last error line of the first. remark: why there are no rules, else empty."""

    reason: str
    error: str
    trials: Sequence[int]
    rules: Sequence[Rule]
    remark: str


def crashes(trials: Sequence[TrialRecord], space: Space) -> list[Crash]:
    """The failures among ended trials, by kind, the most frequent first; each kind is compared with what did not fail.

    Trials that a killed sweep left are nobody's fault and must not be among `trials`.
    """
    kinds: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in trials:
        if trial.state == FAILED:
            # Memory that ran out says so in many words; other errors are known by their line.
            line = alike(trial.error) if trial.reason == ERROR else ""
            kinds.setdefault((trial.reason, line), []).append(trial)
    sound = [trial for trial in trials if trial.state != FAILED]
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return [_crash(reason, failed, sound, space) for (reason, _), failed in ordered]


def _crash(reason: str, failed: Sequence[TrialRecord], sound: Sequence[TrialRecord], space: Space) -> Crash:
    rules: list[Rule] = []
    remark = ""
    if len(failed) < _FEWEST:
        remark = f"{len(failed)} of them: too few to say which setting they share"
    elif not sound:
        remark = "no trial ran without failing: nothing to compare them with"
    else:
        rules = _over_represented(failed, sound, space)
        remark = "" if rules else "no setting stands out among them"
    return Crash(reason, failed[0].error, [trial.number for trial in failed], rules, remark)


def _over_represented(failed: Sequence[TrialRecord], sound: Sequence[TrialRecord], space: Space) -> list[Rule]:
    """The clearest rule of each setting that stands out, clearest first."""
    candidates = {name: _candidates(parameter, [*failed, *sound]) for name, parameter in space.items()}
    tried = sum(len(rules) for rules in candidates.values())
    found = []
    for name, rules in candidates.items():
        judged = [_judge(name, text, fits, failed, sound, tried) for text, fits in rules]
        best = min(judged, key=lambda rule: rule.p, default=None)
        if best is not None and best.p < _LEVEL:
            found.append(best)
    return sorted(found, key=lambda rule: rule.p)


def _candidates(parameter: Parameter, trials: Sequence[TrialRecord]) -> list[tuple[str, Callable[[Any], bool]]]:
    values = [trial.params[parameter.name] for trial in trials]
    if parameter.kind == "choice":
        return [(f"= {option}", partial(operator.eq, option)) for option in parameter.options if option in values]
    cuts = sorted(set(values))
    at_least = [(f">= {cut:.4g}", partial(operator.le, cut)) for cut in cuts[1:]]
    at_most = [(f"<= {cut:.4g}", partial(operator.ge, cut)) for cut in cuts[:-1]]
    return [*at_least, *at_most]


def _judge(
    name: str,
    text: str,
    fits: Callable[[Any], bool],
    failed: Sequence[TrialRecord],
    sound: Sequence[TrialRecord],
    tried: int,
) -> Rule:
    bad = sum(fits(trial.params[name]) for trial in failed)
    good = sum(fits(trial.params[name]) for trial in sound)
    table = [[bad, len(failed) - bad], [good, len(sound) - good]]
    p = min(1.0, float(fisher_exact(table, alternative="greater").pvalue) * tried)
    return Rule(f"{name} {text}", bad, bad + good, len(failed) - bad, len(failed) + len(sound) - bad - good, p)
