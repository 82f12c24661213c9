# SPDX-License-Identifier: AGPL-3.0-only
"""What an engine file finds on labelled frames, through the car's own detector: letterbox, engine, thresholds, NMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cone_detector.detections import Detections
from cone_detector.detector import StereoDetector
from cone_detector.engine.manifest import Manifest
from cone_detector.frames import Frame
from cone_detector.settings import Settings, Value
from offline_tools.datasets.prepare import Source, read_image
from offline_tools.datasets.sample import Sample
from offline_tools.onnx_engine import open_engine


def detect(
    manifest_path: Path,
    manifest: Manifest,
    samples: Sequence[Sample],
    source: Source,
    changes: Mapping[str, Value],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Sample, Frame, Detections]]:
    """Each sample with its frame and what is found there; two frames at a time, as the car's two cameras.

    changes: of the node's settings. progress: called with images done and images in all.
    """
    settings = Settings({"policy.name": f"fixed_{manifest.name}", "stereo.enabled": False, **changes})
    detector = StereoDetector(open_engine(manifest_path, slots=1), settings)
    try:
        for start in range(0, len(samples), 2):
            pair = [samples[start], samples[min(start + 1, len(samples) - 1)]]
            frames = [Frame(read_image(sample.image, source)) for sample in pair]
            found = detector.detect(frames[0], frames[1]).detections
            for side in range(min(2, len(samples) - start)):
                yield pair[side], frames[side], found[side]
            if progress is not None:
                progress(min(start + 2, len(samples)), len(samples))
    finally:
        detector.close()
