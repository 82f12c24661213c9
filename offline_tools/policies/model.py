# SPDX-License-Identifier: AGPL-3.0-only
"""Which engine was judged."""

from __future__ import annotations

import hashlib

from cone_detector.engine.manifest import read_manifest
from cone_detector.engine.select import Choice


def model_of(choice: Choice) -> dict[str, str]:
    """Name, precision and runtime of the chosen engine, and sha256 of the content of all its files."""
    candidate = choice.candidate
    hashes = sorted(read_manifest(path).file_sha256 for path in candidate.paths)
    return {
        "name": candidate.model,
        "precision": candidate.precision,
        "runtime": candidate.runtime,
        "sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
    }
