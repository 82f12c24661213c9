# SPDX-License-Identifier: AGPL-3.0-only
"""How a plan's rows compare with those of its float ONNX under OpenVINO, on real frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.manifest import read_manifest
from offline_tools.build.frames import read_canvases
from offline_tools.build.verify import BOX_LIMIT_PX, SCORE_LIMIT, compare_plan


@dataclass(frozen=True)
class RowFigures:
    """Over the reference's rows of a score that matters; see `offline_tools.build.verify.Agreement`.

    images: compared. found: share of the rows that have a partner. within_limits: share whose partner lies within 2 px
    and 0.02 in score. The percentiles are of the partners.
    """

    images: int
    rows: int
    found: float
    within_limits: float
    box_px_p50: float
    box_px_p99: float
    score_p50: float
    score_p99: float
    limits: str = f"{BOX_LIMIT_PX:g} px, {SCORE_LIMIT:g}"


def measure_rows(manifest_path: Path, reference: Path, images: Path, pairs: int) -> RowFigures:
    """Compares a plan with its float ONNX, whose manifest is `reference`.

    images: folder or recording, of which up to `pairs` pairs are used. Raises ManifestError, EngineError, FramesError
    or BagError.
    """
    frames = read_canvases(images, read_manifest(manifest_path).canvas, pairs)
    agreement = compare_plan(manifest_path, reference, frames)

    def share(values: NDArray[np.float32], which: float) -> float:
        return round(float(np.percentile(values, which)), 4) if len(values) else 0.0

    return RowFigures(
        agreement.frames,
        agreement.rows,
        round(agreement.found, 4),
        round(agreement.within_limits, 4),
        share(agreement.box_px, 50),
        share(agreement.box_px, 99),
        share(agreement.score, 50),
        share(agreement.score, 99),
    )
