# SPDX-License-Identifier: AGPL-3.0-only
"""What stands behind a plan's times: the file, the types that its layers compute in, and how accurate it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cone_detector.engine import trt_api
from cone_detector.engine.manifest import Manifest, check_file, read_manifest
from offline_tools.build.layers import convolutions, count_types
from offline_tools.build.plan import read_layers


@dataclass(frozen=True)
class PlanFacts:
    """One plan. layers: how many compute in each type, and how many only reformat; convolutions: of these.

    Both are None where TensorRT describes layers in another form than is known.
    """

    sha256: str
    mb: float
    layers: dict[str, int] | None
    convolutions: dict[str, int] | None


@dataclass(frozen=True)
class PlanAccuracy:
    """What `cone-tools evaluate --note` found. loss_pt: points of mAP50 below the float ONNX on the same images."""

    split: str
    map50: float
    map50_95: float
    map50_fp32: float
    loss_pt: float


def read_facts(manifest_path: Path) -> PlanFacts:
    """Raises ManifestError, and EngineError where the plan cannot be opened here."""
    manifest = read_manifest(manifest_path)
    content = check_file(manifest_path, manifest).read_bytes()
    digest, mb = manifest.file_sha256, round(len(content) / 1e6, 2)
    try:
        layers = read_layers(trt_api.load(manifest.runtime.name), content)
    except (KeyError, TypeError, ValueError):  # times are worth more than a table
        return PlanFacts(digest, mb, None, None)
    return PlanFacts(digest, mb, count_types(layers), count_types(convolutions(layers)))


def compare_accuracy(manifest: Manifest, reference: Manifest) -> PlanAccuracy | None:
    """A plan's accuracy beside that of its float ONNX; None unless both were evaluated, on the same images.

    A plan in FP16 that nobody evaluated has its ONNX's figures from its build: those say nothing of it.
    """
    own, wanted = manifest.evaluation, reference.evaluation
    if own is None or wanted is None or own == wanted or own.data_sha256 != wanted.data_sha256:
        return None
    loss = round(100 * (wanted.map50 - own.map50), 2)
    return PlanAccuracy(own.split, own.map50, own.map50_95, wanted.map50, loss)
