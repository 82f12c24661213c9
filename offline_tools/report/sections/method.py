# SPDX-License-Identifier: AGPL-3.0-only
"""What is done, in the order of the work; no results."""

from __future__ import annotations

from offline_tools.report.archive import Archive
from offline_tools.report.document import Section
from offline_tools.report.text import prose
from offline_tools.report.variants import halted

_TECHNIQUES = (
    "**Distillation.** A YOLO11m teacher trains a YOLO11n student: `loss = task × task loss + logits × T² KL(teacher, "
    "student) + features × MSE of projected neck features`. It is compared with the direct training of the same "
    "student with the same budget.",
    "**RegNet.** RegNetY-400MF, and a network of our own from the design space `w_j = w_0 + w_a j`, quantized to "
    "multiples of eight, in the place of YOLO11's backbone.",
    "**Pruning.** Whole channels go by their batch-norm gain, with all that depends on them, then the rest is "
    "fine-tuned. Latency is measured before and after, since fewer channels need not be faster ones.",
    "**Eight bits.** Post-training INT8 from one calibration set of training images: by NNCF for OpenVINO, as "
    "explicit Q/DQ for TensorRT. What puts boxes together stays in float.",
    "**Adaptive inference.** A cheap look at 320, and a closer one (640, or a magnified band below the horizon) where "
    "evidence asks for it; policies are judged by far and near cones apart, against fixed 320 and fixed 640.",
    "**Cones in space.** Boxes of both images are matched one to one, their disparity is refined by correlating "
    "pixels, and each cone is triangulated with its covariance.",
)


def method(archive: Archive) -> Section:
    """Section "Method"."""
    section = Section("method", "Method")
    gate = archive.targets.at("gate")
    section.say(
        "**One contract for all engines.** Both letterboxed images go in as one batch of bytes, `(2, 384, 640, 3)`, "
        "in a rectangle that fits the camera instead of a square that is padded; rows of boxes, scores and classes "
        "come out. Colour order, scaling, layout, the halving for the 320 pass, decoding and the choice of the best "
        "rows are part of the network's graph, so every runtime takes the same bytes and returns the same rows. "
        "Evaluation, benchmark and node drive the same detector."
    )
    section.say(
        "**Two branches and a gate.** Branch A trains YOLO12n and, beside it, YOLO26n. If the best mean mAP50 on "
        "validation is above {above}, branch A goes on; below {below} branch B takes over; between, both are trained "
        "and compared. The test split decides nothing. The techniques of branch B, and those that serve either:",
        above=gate.at("go_on_above").value(2),
        below=gate.at("pivot_below").value(2),
    )
    section.points(*(prose(text) for text in _TECHNIQUES))
    if halted(archive):
        section.say("Not all of these trainings came to their end: Results and Discussion name those that did not.")
    section.say(
        "**How figures are kept.** Each tool writes a record: what it measured, on which machine, with which "
        "versions, and the hashes of model and data. This report reads nothing else. A figure in it is an object that "
        "knows its record and its key there, and whether it was measured, simulated or quoted; after the last "
        "sentence is written, all of them are looked up again and compared."
    )
    return section
