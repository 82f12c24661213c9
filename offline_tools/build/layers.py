# SPDX-License-Identifier: AGPL-3.0-only
"""What became of a network's layers in a plan: the type that each computes in, and where data is only re-laid.

TensorRT tells through its engine inspector, which needs a GPU; TensorRT-RTX, which builds without one, in its log.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cone_detector.engine.manifest import Precision

# As TensorRT 8.6 ("Channel major FP16 format ..."), 10.x and 11.x ("Half") write a tensor's type, and its bytes.
_TYPES = {
    "INT8": (r"\bint8\b", 1),
    "FP16": (r"\b(?:fp16|half)\b", 2),
    "FP32": (r"\b(?:fp32|float)\b", 4),
    "UINT8": (r"\buint8\b", 1),
    "INT32": (r"\bint(?:32|64)\b", 4),
    "BOOL": (r"\bbool(?:ean)?\b", 1),
}
# They order the work of streams and touch no data.
_NO_WORK = {"signal", "wait", "noop"}
_LOG_LAYER = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\], Constants: \[(?P<constants>.*?)\], "
    r"Outputs: \[(?P<outputs>.*?)\], TacticName"
)
_LOG_TENSOR = re.compile(r"Dimensions: \[(?P<shape>[\d,]*)\].*?Datatype: (?P<type>\w+)")


@dataclass(frozen=True)
class Tensor:
    """Data that a layer reads or writes. type: one of the names of the layer table."""

    shape: tuple[int, ...]
    type: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * _TYPES[self.type][1] if self.type in _TYPES else 0


@dataclass(frozen=True)
class Layer:
    """One step of a plan. kind: TensorRT's word, in lower case. constants: weights, where TensorRT lists them."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def type(self) -> str:
        """What it computes in: the type of its first input; "none" where it reads nothing."""
        return self.inputs[0].type if self.inputs else "none"

    @property
    def reformats(self) -> bool:
        """True where data is only brought into another layout or type."""
        return self.kind == "reformat" or "reformat" in self.name.lower()

    @property
    def convolves(self) -> bool:
        """True for convolutions, fused with others or not; compiled graphs call them correlations or products."""
        return any(word in f"{self.kind} {self.name}".lower() for word in ("conv", "corr", "fc", "gemm"))

    @property
    def flops(self) -> float:
        """Operations of a convolution, two a multiplication; 0 for all else, which is bound by the bytes it moves."""
        if not self.convolves or not self.constants or not self.outputs:
            return 0.0
        weights = max(self.constants, key=lambda constant: constant.size)
        channels = next((side for side in weights.shape if side > 1), 1)
        return 2.0 * weights.size * self.outputs[0].size / channels

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return sum(tensor.bytes for tensor in (*self.inputs, *self.constants, *self.outputs))


def from_inspector(text: str) -> list[Layer]:
    """Layers from the JSON of TensorRT's engine inspector, of a plan built with detailed profiling verbosity."""
    layers = []
    # TensorRT 8.6 leaves control characters in the names of layers that it compiled itself.
    for found in json.loads(text, strict=False)["Layers"]:
        inputs, outputs = (tuple(_json_tensor(tensor) for tensor in found[side]) for side in ("Inputs", "Outputs"))
        # TensorRT 8.6 tells a convolution's weights by their number alone.
        count = found.get("Weights", {}).get("Count", 0) if isinstance(found.get("Weights"), dict) else 0
        channels = int(found.get("OutMaps", 0)) or 1
        weights = (Tensor((channels, count // channels), inputs[0].type),) if count and inputs else ()
        layers.append(Layer(found["Name"], found["LayerType"].lower(), inputs, weights, outputs))
    return [layer for layer in layers if layer.kind not in _NO_WORK]


def from_build_log(messages: Sequence[str]) -> list[Layer]:
    """Layers from the messages of TensorRT-RTX's verbose build; other TensorRT write theirs in other forms."""
    text = next((message for message in reversed(messages) if message.startswith("Layers:")), "")
    layers = []
    for line in text.splitlines():
        if found := _LOG_LAYER.match(line.strip()):
            inputs, constants, outputs = (_log_tensors(found[side]) for side in ("inputs", "constants", "outputs"))
            layers.append(Layer(found["name"], found["kind"].lower(), inputs, constants, outputs))
    return [layer for layer in layers if layer.kind not in _NO_WORK]


def count_types(layers: Sequence[Layer]) -> dict[str, int]:
    """How many layers compute in each type, and how many only reformat."""
    counts = Counter(layer.type for layer in layers if not layer.reformats)
    counts["reformats"] = sum(layer.reformats for layer in layers)
    return dict(counts)


def convolutions(layers: Sequence[Layer]) -> list[Layer]:
    """Those of `layers` that convolve, without the copies in front of them."""
    return [layer for layer in layers if layer.convolves and not layer.reformats]


def precision_doubt(layers: Sequence[Layer], precision: Precision) -> str | None:
    """What to tell of a plan whose convolutions mostly compute in another type than it is built for; None if not."""
    found = convolutions(layers)
    wanted = precision.upper()
    reached = sum(layer.type == wanted for layer in found)
    if 2 * reached >= len(found):
        return None
    return f"only {reached} of {len(found)} convolutions compute in {wanted}: look at the ONNX and at its Q/DQ"


def _json_tensor(found: dict[str, Any]) -> Tensor:
    words = f"{found.get('Format/Datatype', '')} {found.get('Datatype', '')}"
    return Tensor(tuple(found.get("Dimensions", ())), _type(words))


def _log_tensors(text: str) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(tuple(int(side) for side in found["shape"].split(",") if side), _type(found["type"]))
        for found in _LOG_TENSOR.finditer(text)
    )


def _type(text: str) -> str:
    for name, (pattern, _) in _TYPES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return name
    return text.strip() or "none"
