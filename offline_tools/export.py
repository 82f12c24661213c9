# SPDX-License-Identifier: AGPL-3.0-only
"""From trained weights to the ONNX file of the car's engine contract, with its manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from cone_detector.classes import CLASS_NAMES
from cone_detector.engine.contract import INPUT_NAME, OUTPUT_NAME
from cone_detector.engine.manifest import Manifest, Runtime, file_sha256, write_manifest
from offline_tools.onnx_files import compact

# TensorRT 8.6 parses opset 17; nothing in the contract needs a newer one.
OPSET = 17


@dataclass(frozen=True)
class View:
    """What a pass sees of the canvas.

    halve: at half scale. strip: only so many canvas rows; 0: all. magnified: cut from the camera image, so many times
    larger than on the canvas. Sizes must come out as multiples of 32.
    """

    halve: bool = False
    strip: int = 0
    magnified: float = 1.0


# Of the strips tried (docs/adaptive.md), these find most far cones: at 0.6 and at 0.8 of fixed 640's cost with the 320
# pass. A strip at the canvas's own scale finds fewer than 640 does.
VIEWS: Mapping[str, View] = {
    "640": View(),
    "320": View(halve=True),
    "band": View(strip=80, magnified=1.2),
    "zoom": View(strip=80, magnified=1.6),
}
RESOLUTIONS = tuple(VIEWS)
_CANVAS_WIDTH = 640
# The 320 network halves the canvas and has a stride of 32.
_CANVAS_MULTIPLE = 64


class ExportError(ValueError):
    """Weights or settings that cannot be exported; the message names the value and the fix."""


def canvas_for(camera: tuple[int, int]) -> tuple[int, int]:
    """The canvas (width, height) for a `camera` of that size: 640 wide, padded to a multiple of 64."""
    width, height = camera
    if min(camera) <= 0:
        raise ExportError(f"camera size {width}x{height}: both sides must be positive")
    rows = _CANVAS_WIDTH * height / width
    return _CANVAS_WIDTH, max(1, math.ceil(rows / _CANVAS_MULTIPLE)) * _CANVAS_MULTIPLE


def export(
    weights: Path | str,
    directory: Path,
    model_name: str,
    resolution: str,
    camera: tuple[int, int] = (1280, 720),
    half_storage: bool = True,
) -> Path:
    """Writes `<model_name>-<resolution>.onnx` and its manifest to `directory`.

    weights: a trained .pt of ultralytics, or the name of one of its model YAMLs for an untrained network.
    resolution: one of RESOLUTIONS. camera: (width, height) of the camera, whose aspect the canvas is cut for.
    half_storage: store weights as float16; the network still computes in float32.

    Returns the path of the manifest. Raises ExportError.
    """
    if resolution not in RESOLUTIONS:
        raise ExportError(f"resolution '{resolution}': use one of {', '.join(RESOLUTIONS)}")
    canvas, view = canvas_for(camera), VIEWS[resolution]
    size = (round(canvas[0] * view.magnified), round((view.strip or canvas[1]) * view.magnified))
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{model_name}-{resolution}.onnx"
    end_to_end = _write_onnx(load_network(weights), size, view, path)
    _slim(path)
    if half_storage:
        onnx.save(compact(onnx.load(path)), path)
    scale = 2 if view.halve else 1
    divisor = math.gcd(*camera)
    digest = file_sha256(path)
    manifest = Manifest(
        model=model_name,
        name=resolution,
        file=path.name,
        file_sha256=digest,
        onnx_sha256=digest,
        classes=CLASS_NAMES,
        canvas=canvas,
        network=(size[0] // scale, size[1] // scale),
        camera_aspect=(camera[0] // divisor, camera[1] // divisor),
        precision="fp32",
        nms=not end_to_end,
        qdq=False,
        runtime=Runtime("onnx", f"opset {OPSET}"),
        strip=view.strip,
    )
    target = path.with_suffix(".json")
    write_manifest(target, manifest)
    return target


def load_network(weights: Path | str):  # type: ignore[no-untyped-def]
    """The fused float32 network of `weights`, on the CPU and in eval mode, its classes checked by name.

    Raises ExportError where the file is missing or its classes are not the project's, in its order.
    """
    from ultralytics import YOLO

    if str(weights).endswith(".pt") and not Path(weights).is_file():
        raise ExportError(f"no weights at {weights}: train with `cone-tools train` or give a .pt file")
    network = YOLO(str(weights)).model
    if str(weights).endswith(".yaml"):
        from ultralytics.nn.tasks import DetectionModel

        network = DetectionModel(network.yaml, nc=len(CLASS_NAMES), verbose=False)
    else:
        names = tuple(network.names[index] for index in sorted(network.names))
        if names != CLASS_NAMES:
            raise ExportError(f"{weights} was trained for classes {list(names)}, must be {list(CLASS_NAMES)}")
    return network.float().cpu().eval().fuse(verbose=False)


def _write_onnx(network, size: tuple[int, int], view: View, path: Path) -> bool:  # type: ignore[no-untyped-def]
    """Writes the contract's ONNX of `network` for inputs of `size` (width, height); says whether it is end to end."""
    import torch

    from offline_tools.contract import ContractNetwork

    try:
        contract = ContractNetwork(network, size, view.halve, view.magnified).eval()
    except ValueError as error:
        raise ExportError(str(error)) from error
    frames = torch.zeros(2, size[1], size[0], 3, dtype=torch.uint8)
    with torch.inference_mode():
        contract(frames)
        # The TorchScript exporter writes opset 17 directly; the newer one starts at 18.
        torch.onnx.export(
            contract,
            (frames,),
            str(path),
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamo=False,
        )
    return contract.end_to_end


def _slim(path: Path) -> None:
    import onnxslim

    model = onnxslim.slim(onnx.load(path))
    model.producer_name, model.producer_version = "cone_detector", ""
    onnx.save(model, path)
