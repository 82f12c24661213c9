# SPDX-License-Identifier: AGPL-3.0-only
"""What a policy sees, on labelled sequences: the car's own detector decides, its rows are scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cone_detector.adaptive import Conditions, Decision, Rows, Sight, Step
from cone_detector.detections import Detections
from cone_detector.detector import CameraImage, StereoDetector
from cone_detector.frames import Frame
from cone_detector.letterbox import Letterbox
from cone_detector.settings import Settings, Value
from offline_tools.metrics import Scored, figures, join, score_image
from offline_tools.policies.sequences import Labelled, LabelledPair
from offline_tools.policies.store import RowStore

# A cone lower than this on the 640 canvas is far: 5 m and more before a ZED 2i. Half of it is what 320 is given.
FAR_PX = 22.0
# Average precision is taken over rows down to this score, whatever is published.
_LOWEST_CONFIDENCE = 0.01

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Outcome:
    """One policy on all sequences.

    passes: by frame, the names of the passes that ran. map50, map50_95: over all scores. recall_near, recall_far: share
    of the labelled cones that are found at the published confidence, with the right class at IoU 0.5; precision: share
    of what is found so that is right. Doubles are suppressed among all rows, which leaves half a percent fewer boxes
    than the node publishes. reasons: how often each reason for a second pass was given.
    """

    passes: Sequence[tuple[str, ...]]
    map50: float
    map50_95: float
    recall_near: float
    recall_far: float
    precision: float
    reasons: Mapping[str, int]

    @property
    def escalation_rate(self) -> float:
        return sum(len(names) > 1 for names in self.passes) / len(self.passes)


class Judge:
    """Replays sequences under any settings; each frame's rows are scored once for each choice of passes."""

    def __init__(self, store: RowStore, labelled: Labelled) -> None:
        self._store = store
        self._labelled = labelled
        self._script = _Script()
        # mAP ranks the guesses of each class by itself, as in offline_tools/evaluate.py.
        lowest = Settings({"confidence": _LOWEST_CONFIDENCE, "nms_iou_across_classes": 1.0, "stereo.enabled": False})
        self._scorer = StereoDetector(store, lowest, policy=self._script)
        self._scored: dict[tuple[object, ...], tuple[Scored, Scored]] = {}

    def judge(self, changes: Mapping[str, Value]) -> Outcome:
        """The outcome of the defaults with `changes`. Raises SettingError or EngineError."""
        settings = Settings({"stereo.enabled": False, **changes})
        parts: list[tuple[Scored, Scored]] = []
        passes: list[tuple[str, ...]] = []
        reasons: Counter[str] = Counter()
        for sequence in self._labelled.sequences:
            detector = StereoDetector(self._store, settings)
            for number, pair in enumerate(sequence.pairs):
                frame = f"{sequence.name}:{number}"
                self._store.show(frame, pair.read)
                steps = detector.process(0, _images(pair, self._store)).steps
                passes.append(tuple(step.name for step in steps))
                reasons.update(step.reason for step in steps[1:])
                parts.append(self._score(frame, pair, steps, settings["confidence"]))
        everything = join([whole for whole, _ in parts])
        published = join([certain for _, certain in parts])
        far = published.truth_height < FAR_PX
        found = np.zeros(len(far), bool)
        found[published.claims[published.claims >= 0]] = True
        found_at_all = figures(everything)
        return Outcome(
            passes,
            found_at_all.map50,
            found_at_all.map50_95,
            _share(found[~far]),
            _share(found[far]),
            _share(published.correct[:, 0]),
            dict(reasons),
        )

    def _score(self, frame: str, pair: LabelledPair, steps: Steps, confidence: float) -> tuple[Scored, Scored]:
        """All rows of the frame's passes, and those that are published, matched with the labels."""
        key = (frame, confidence, *((step.name, step.top) for step in steps))
        if key not in self._scored:
            self._script.steps = steps
            found = self._scorer.process(0, _images(pair, self._store)).detections
            whole: list[Scored] = []
            certain: list[Scored] = []
            for eye, truth in enumerate(pair.truth):
                size = np.array(pair.size * 2, np.float32)
                boxes, label = truth.xyxy * size, truth.label
                scale = Letterbox.fit(pair.size, self._store.manifests["640"].canvas).scale[1]
                for scored, some in ((whole, found[eye]), (certain, _above(found[eye], confidence))):
                    scored.append(score_image(some.xyxy, some.score, some.label, boxes, label, scale))
            self._scored[key] = join(whole), join(certain)
        return self._scored[key]


class _Script:
    """A policy that runs the passes it is told."""

    steps: Steps = ()

    def first(self, conditions: Conditions) -> Step:
        return self.steps[0]

    def second(self, sight: Sight, conditions: Conditions) -> Decision:
        return Decision(self.steps[1] if len(self.steps) > 1 else None)

    def remember(self, rows: Rows) -> None:
        pass


def _images(pair: LabelledPair, store: RowStore) -> tuple[CameraImage, CameraImage]:
    """Images of the right size without pixels: the rows are known, or read through the store."""
    width, height = pair.size
    blank = Frame(np.broadcast_to(np.uint8(0), (height, width, 3)))
    image = CameraImage(blank, Letterbox.fit(pair.size, store.manifests["640"].canvas))
    return image, image


def _above(found: Detections, confidence: float) -> Detections:
    sure = found.score >= np.float32(confidence)
    return Detections(found.xyxy[sure], found.score[sure], found.label[sure])


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
