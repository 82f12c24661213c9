# SPDX-License-Identifier: Apache-2.0
"""Which passes run on a frame, and why: a cheap one first, a closer look where and when it is needed."""

from cone_detector.adaptive.budget import Budget
from cone_detector.adaptive.evidence import Evidence
from cone_detector.adaptive.merge import cut_by_strip, merge
from cone_detector.adaptive.passes import NO_ROWS, Conditions, Rows, Sight, Step
from cone_detector.adaptive.policies import Decision, Policy, make_policy, resolved

__all__ = [
    "NO_ROWS",
    "Budget",
    "Conditions",
    "Decision",
    "Evidence",
    "Policy",
    "Rows",
    "Sight",
    "Step",
    "cut_by_strip",
    "make_policy",
    "merge",
    "resolved",
]
