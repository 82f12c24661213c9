# SPDX-License-Identifier: AGPL-3.0-only
"""What became of a network's layers in a plan: the type that each computes in, and where data is only re-laid.

TensorRT tells through its engine inspector, which needs a GPU, or in the verbose log of the build, which does not.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# As TensorRT 8.6 ("Channel major FP16 format ..."), 10.x and 11.x ("Half") write a tensor's type.
_TYPES = {
    "INT8": r"\bint8\b",
    "FP16": r"\b(?:fp16|half)\b",
    "FP32": r"\b(?:fp32|float)\b",
    "UINT8": r"\buint8\b",
    "INT32": r"\bint(?:32|64)\b",
    "BOOL": r"\bbool(?:ean)?\b",
}
# They order the work of streams and touch no data.
_NO_WORK = {"signal", "wait", "noop"}
_LOG_LAYER = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\](?=, (?:Const|Outp))"
)


@dataclass(frozen=True)
class Layer:
    """One step of a plan. kind: TensorRT's word, in lower case. type: of its first input: what it computes in."""

    name: str
    kind: str
    type: str

    @property
    def reformats(self) -> bool:
        """True where data is only brought into another layout or type."""
        return self.kind == "reformat" or "reformat" in self.name.lower()

    @property
    def convolves(self) -> bool:
        """True for convolutions, fused with others or not. "corr" is what compiled graphs call them."""
        return any(word in f"{self.kind} {self.name}".lower() for word in ("conv", "corr"))


def from_inspector(text: str) -> list[Layer]:
    """Layers from the JSON of TensorRT's engine inspector, of a plan built with detailed profiling verbosity."""
    layers = []
    for found in json.loads(text)["Layers"]:
        inputs = [f"{tensor.get('Format/Datatype', '')} {tensor.get('Datatype', '')}" for tensor in found["Inputs"]]
        layers.append(Layer(found["Name"], found["LayerType"].lower(), _type(inputs[0] if inputs else "")))
    return [layer for layer in layers if layer.kind not in _NO_WORK]


def from_build_log(messages: Sequence[str]) -> list[Layer]:
    """Layers from the messages of a verbose build (TensorRT 10 and later, and TensorRT-RTX)."""
    text = next((message for message in reversed(messages) if message.startswith("Layers:")), "")
    layers = []
    for line in text.splitlines():
        if found := _LOG_LAYER.match(line.strip()):
            data_type = re.search(r"Datatype: (\w+)", found["inputs"])
            layers.append(Layer(found["name"], found["kind"].lower(), _type(data_type[1] if data_type else "")))
    return [layer for layer in layers if layer.kind not in _NO_WORK]


def count_types(layers: Sequence[Layer]) -> dict[str, int]:
    """How many layers compute in each type, and how many only reformat."""
    counts = Counter(layer.type for layer in layers if not layer.reformats)
    counts["reformats"] = sum(layer.reformats for layer in layers)
    return dict(counts)


def _type(text: str) -> str:
    for name, pattern in _TYPES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return name
    return text.strip() or "none"
