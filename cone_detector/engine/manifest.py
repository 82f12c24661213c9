# SPDX-License-Identifier: Apache-2.0
"""The manifest beside each engine file: what it is, what it was made from, where it runs.

It is read and checked before the file itself is opened: a stale or foreign engine is refused with the command that
rebuilds it, and can never serve wrong rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cone_detector.classes import CLASS_NAMES

SCHEMA = 1
REBUILD_COMMAND = "make engines"
# How a pass is made that is not shipped, by its name.
MAKE_PASS = "`cone-tools export WEIGHTS --pass {}` and `cone-tools quantize`, for a GPU `cone-tools build` as well"

Precision = Literal["fp32", "fp16", "int8"]
RuntimeName = Literal["onnx", "openvino", "tensorrt", "tensorrt-rtx"]


class ManifestError(ValueError):
    """A manifest that is missing, malformed or does not fit; the message names the field, its value and the fix."""


@dataclass(frozen=True)
class Calibration:
    """The images that set the INT8 ranges. sha256: of the sorted content hashes of the images."""

    sha256: str
    split: str
    images: int


@dataclass(frozen=True)
class Runtime:
    """What opens the file; an ONNX file is opened by any."""

    name: RuntimeName
    version: str = ""


@dataclass(frozen=True)
class Gpu:
    """The GPU that a plan was built for. compute_capability: as "8.9"."""

    name: str
    compute_capability: str
    driver: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The evaluation that the file passed. data_sha256: of the sorted content hashes of the images."""

    split: str
    map50: float
    map50_95: float
    data_sha256: str


@dataclass(frozen=True)
class Manifest:
    """One engine file. Sizes are (width, height) in pixels.

    name: the pass that it serves ("320", "640").
    canvas: size of the input; network: size at which the network looks at it.
    strip: height of the horizontal strip of the canvas that the network looks at; 0 where it sees the whole canvas.
    camera_aspect: of the camera that the canvas was cut for, as (16, 9).
    nms: True where rows still need class-aware non-maximum suppression.
    qdq: True where an ONNX carries TensorRT's quantize/dequantize nodes, which no CPU may run.
    ms: milliseconds of a plan's pass over a pair on `gpu`, measured when it was built; 0 where nobody did.
    """

    model: str
    name: str
    file: str
    file_sha256: str
    onnx_sha256: str
    classes: tuple[str, ...]
    canvas: tuple[int, int]
    network: tuple[int, int]
    camera_aspect: tuple[int, int]
    precision: Precision
    nms: bool
    qdq: bool
    runtime: Runtime
    gpu: Gpu | None = None
    calibration: Calibration | None = None
    evaluation: Evaluation | None = None
    strip: int = 0
    ms: float = 0.0
    schema: int = SCHEMA

    @property
    def is_plan(self) -> bool:
        """True for what TensorRT or TensorRT-RTX built for one kind of GPU."""
        return self.runtime.name in ("tensorrt", "tensorrt-rtx")

    @property
    def magnified(self) -> float:
        """How many times finer than on the canvas a strip is given; more than 1: cut from the camera image itself."""
        return self.network[0] / self.canvas[0] if self.strip else 1.0

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the images that the network is given, in pixels."""
        rows = self.strip or self.canvas[1]
        return round(self.canvas[0] * self.magnified), round(rows * self.magnified)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ManifestError(f"schema is {self.schema}, this version reads {SCHEMA}: run `{REBUILD_COMMAND}`")
        if self.classes != CLASS_NAMES:
            raise ManifestError(f"classes are {list(self.classes)}, must be {list(CLASS_NAMES)} in this order")
        for field, allowed in (("precision", get_args(Precision)), ("runtime", get_args(RuntimeName))):
            value = self.runtime.name if field == "runtime" else self.precision
            if value not in allowed:
                raise ManifestError(f"{field} is '{value}', must be one of {', '.join(allowed)}")
        for field in ("canvas", "network", "camera_aspect"):
            size = getattr(self, field)
            if len(size) != 2 or min(size) <= 0:
                raise ManifestError(f"{field} is {size}, must be two positive whole numbers")
        if any(side % 32 for side in self.network):
            raise ManifestError(f"network is {self.network}, must be multiples of 32")
        if not 0 <= self.strip <= self.canvas[1]:
            raise ManifestError(f"strip is {self.strip}, must lie in 0 to the canvas height {self.canvas[1]}")
        if Path(self.file).name != self.file:
            raise ManifestError(f"file is '{self.file}', must be a bare file name beside the manifest")

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parses and checks a manifest. Raises ManifestError."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ManifestError(f"not JSON: {error}") from error
        return _build(cls, values, "manifest")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


_NESTED: dict[str, type] = {
    "runtime": Runtime,
    "gpu": Gpu,
    "calibration": Calibration,
    "evaluation": Evaluation,
}
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "Precision": (str,),
    "RuntimeName": (str,),
}


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ManifestError(f"{where} is {type(values).__name__}, must be an object")
    assert is_dataclass(kind)
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ManifestError(f"{where} has unknown fields: {', '.join(unknown)}")
    built: dict[str, Any] = {}
    for name, value in values.items():
        declared = str(known[name].type)
        if name in _NESTED and value is not None:
            value = _build(_NESTED[name], value, name)
        elif declared.startswith("tuple"):
            inner = str if "str" in declared else int
            if not isinstance(value, list) or not all(type(item) is inner for item in value):
                raise ManifestError(f"{where}.{name} is {value!r}, must be a list of {inner.__name__}")
            value = tuple(value)
        elif declared in _TYPES and not _is_a(value, _TYPES[declared]):
            raise ManifestError(f"{where}.{name} is {value!r}, must be {declared}")
        built[name] = value
    try:
        return kind(**built)
    except TypeError as error:
        raise ManifestError(f"{where}: {error}".replace("__init__() ", "")) from error


def _is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    """isinstance, but True and False are no numbers."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def read_manifest(path: Path) -> Manifest:
    """Reads the manifest at `path`. Raises ManifestError, naming the path, where it is missing or wrong."""
    try:
        return Manifest.from_json(path.read_text())
    except FileNotFoundError as error:
        raise ManifestError(f"no manifest at {path}: name one that is there, or run `{REBUILD_COMMAND}`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest in one step, so that a killed build leaves the old one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(manifest.to_json())
    os.replace(temporary, path)


def common_canvas(manifests: Iterable[Manifest]) -> tuple[int, int]:
    """The canvas that all passes of an engine share, width and height. Raises ManifestError where they do not."""
    canvases = {manifest.canvas for manifest in manifests}
    if len(canvases) != 1:
        raise ManifestError(f"the networks' canvases differ: {sorted(canvases)}; run `{REBUILD_COMMAND}`")
    return canvases.pop()


def check_file(path: Path, manifest: Manifest) -> Path:
    """The engine file that the manifest at `path` speaks of, once its content is what the manifest says.

    Raises ManifestError where the file is missing, truncated or another one.
    """
    file = path.with_name(manifest.file)
    if not file.is_file():
        raise ManifestError(f"{file} is missing though {path.name} names it: {_remedy(manifest)}")
    found = file_sha256(file)
    if found != manifest.file_sha256:
        raise ManifestError(
            f"{file} has SHA-256 {found[:12]}…, its manifest says {manifest.file_sha256[:12]}…: "
            f"the file is damaged or not the one that was built: {_remedy(manifest)}"
        )
    return file


def _remedy(manifest: Manifest) -> str:
    if manifest.is_plan:
        return f"run `{REBUILD_COMMAND}`"
    made_by = "quantize" if manifest.precision == "int8" else "export"
    return f"take it from the repository again, or make it anew with `cone-tools {made_by}`"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; of an OpenVINO .xml, together with its .bin."""
    digest = hashlib.sha256()
    parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    for part in parts:
        if part.exists():
            digest.update(part.read_bytes())
    return digest.hexdigest()
