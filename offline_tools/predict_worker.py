# SPDX-License-Identifier: AGPL-3.0-only
"""Ultralytics' own prediction on stereo pairs, timed on request: the other side of `cone-replay bench-cpu`.

Reads lines of "name number" from standard input and answers each with the milliseconds that `predict` took on that
pair, one JSON object a line. Names: `ultralytics`, the .pt as it is; `ultralytics_all_cores`, the same with PyTorch on
all cores, where ultralytics leaves one free; `ultralytics_openvino_int8`, ultralytics' own OpenVINO INT8 export of it,
at the canvas that `predict` gives 16:9 images, for the batch of two.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cone_detector.classes import CLASS_NAMES

_SIZE = 640
_CANVAS = (384, 640)
_CONFIDENCE = 0.35
_CALIBRATION_IMAGES = 100


def _calibration(images: Path, folder: Path) -> str:
    """A data.yaml whose validation set, which ultralytics calibrates with, is a share of `images`."""
    found = sorted(path.resolve() for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise SystemExit(f"{images} holds no images")
    chosen = found[:: max(1, len(found) // _CALIBRATION_IMAGES)]
    listed, data = folder / "calibration.txt", folder / "data.yaml"
    listed.write_text("".join(f"{path}\n" for path in chosen))
    names = json.dumps(list(CLASS_NAMES))
    data.write_text(f"path: {folder}\ntrain: {listed.name}\nval: {listed.name}\nnames: {names}\n")
    return str(data)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help=".npy of (N, 2, H, W, 3) uint8 BGR")
    parser.add_argument("weights", type=Path, help=".pt of an ultralytics detector")
    parser.add_argument("images", type=Path, help="folder of images that calibrate the INT8 export")
    options = parser.parse_args(arguments)
    answers = sys.stdout
    # Ultralytics prints to standard output, which is ours to answer on.
    sys.stdout = sys.stderr
    from shutil import copy

    import torch
    from ultralytics import YOLO

    pairs = np.load(options.pairs, mmap_mode="r")
    with TemporaryDirectory() as folder:
        weights = Path(copy(options.weights, folder))
        exported = YOLO(weights).export(
            format="openvino",
            int8=True,
            imgsz=_CANVAS,
            batch=2,
            data=_calibration(options.images, Path(folder)),
            device="cpu",
        )
        torch_model = YOLO(weights)
        models = {
            "ultralytics": (torch_model, _SIZE),
            "ultralytics_all_cores": (torch_model, _SIZE),
            "ultralytics_openvino_int8": (YOLO(exported, task="detect"), _CANVAS),
        }

        def tell(**values: object) -> None:
            print(json.dumps({"event": "answer", **values}), file=answers, flush=True)

        def predict(name: str, number: int) -> float:
            model, size = models[name]
            torch.set_num_threads(all_cores if name == "ultralytics_all_cores" else own_threads)
            images = [np.ascontiguousarray(image) for image in pairs[number]]
            begin = time.perf_counter_ns()
            model.predict(images, imgsz=size, conf=_CONFIDENCE, verbose=False, device="cpu")
            return (time.perf_counter_ns() - begin) / 1e6

        all_cores = own_threads = os.cpu_count() or 1
        # Its first prediction sets the number of threads that ultralytics works with.
        torch_model.predict(np.ascontiguousarray(pairs[0][0]), imgsz=_SIZE, verbose=False, device="cpu")
        own_threads = torch.get_num_threads()
        for name in models:
            predict(name, 0)
        packages = ("ultralytics", "torch", "openvino", "nncf")
        tell(versions={name: version(name) for name in packages}, torch_threads=own_threads)
        for line in sys.stdin:
            name, number = line.split()
            tell(ms=predict(name, int(number)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
