# SPDX-License-Identifier: AGPL-3.0-only
"""Which engine was judged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from cone_detector.engine.manifest import read_manifest
from cone_detector.engine.select import Choice


def model_of(choice: Choice, passes: Collection[str] = ()) -> dict[str, str]:
    """Name, precision and runtime of the chosen engine, and sha256 of the content of its files: all, or of `passes`."""
    candidate = choice.candidate
    manifests = [read_manifest(path) for path in candidate.paths]
    hashes = sorted(one.file_sha256 for one in manifests if not passes or one.name in passes)
    return {
        "name": candidate.model,
        "precision": candidate.precision,
        "runtime": candidate.runtime,
        "sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
    }
