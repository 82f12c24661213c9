# SPDX-License-Identifier: AGPL-3.0-only
"""The mean of several trainings' weights: a model soup (arXiv 2203.05482), at the cost of one network.

Trainings that go on from the same weights end in one valley, in the middle of which a network generalizes better than
at its edges. Networks trained from different random weights have nothing in common and average to nonsense.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from offline_tools import networks
from offline_tools.technique import TechniqueError


def average(paths: Sequence[Path], output: Path) -> None:
    """Writes the mean of the weights and batch-norm statistics of `paths` to `output`, as float16 like ultralytics.

    A file that is named twice counts twice. Raises TechniqueError where there are less than two, one is missing, knows
    other classes or is another network than the first.
    """
    if len(set(paths)) < 2:
        raise TechniqueError(f"{len(set(paths))} file of weights: an average needs two or more")
    model = networks.load(paths[0], "weights to average")
    total = {name: value.double() for name, value in model.state_dict().items()}
    for path in paths[1:]:
        state = networks.load(path, "weights to average").state_dict()
        if {name: value.shape for name, value in state.items()} != {n: value.shape for n, value in total.items()}:
            raise TechniqueError(f"{path} is another network than {paths[0]}: average trainings of one network only")
        for name, value in state.items():
            total[name] += value
    mean = {name: value / len(paths) for name, value in total.items()}
    with torch.no_grad():
        # Copied into the first network's own types: counters of batches stay integers.
        model.load_state_dict(mean)
    networks.save(model.half(), output)
