# SPDX-License-Identifier: AGPL-3.0-only
"""Hyperparameter sweeps over a training configuration; see docs/sweep.md.

Each trial is `cone-tools train` in a process of its own, in a folder of its own. Optuna or Ray Tune chooses the
settings; `analyze` reads only what the trials left, so it does not care which.
"""


class SweepError(ValueError):
    """A sweep that cannot be run or read; the message names the key, its value and the fix."""
