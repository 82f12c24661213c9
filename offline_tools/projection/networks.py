# SPDX-License-Identifier: AGPL-3.0-only
"""The ONNX files that plans are built from, found by model, precision and pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cone_detector.engine.manifest import Manifest, ManifestError, check_file, read_manifest
from offline_tools.projection.kernels import Kernel, kernels_of

# Model, precision and pass, such as ("yolo11n", "int8", "640").
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Network:
    """An ONNX file of the engine contract, as a runtime starts it."""

    manifest: Manifest
    kernels: Sequence[Kernel]


def find(key: Key, folders: Sequence[Path]) -> Network | None:
    """The network of that key in the first of `folders` that holds it."""
    model, precision, name = key
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            manifest = read_manifest(path)
            same = (manifest.model, manifest.name, manifest.qdq) == (model, name, precision == "int8")
            if same and manifest.runtime.name == "onnx":
                return Network(manifest, kernels_of(check_file(path, manifest)))
    return None


def need(key: Key, folders: Sequence[Path]) -> Network:
    """The same. Raises ManifestError where there is none."""
    if found := find(key, folders):
        return found
    model, precision, name = key
    raise ManifestError(
        f"no ONNX of {model} {name} {precision} in {', '.join(map(str, folders))}: name its folder with --engines"
    )
