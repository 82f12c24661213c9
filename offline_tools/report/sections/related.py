# SPDX-License-Identifier: AGPL-3.0-only
"""What others did, and what of it is used here."""

from __future__ import annotations

from offline_tools.report.document import Section

_TEXT = (
    "**Cones and racing.** The racing stacks of AMZ [@kabzan2020] and of MIT [@strobel2020] find cones with a camera "
    "and a convolutional network under a hard limit of time; Dhall et al. locate them in space from key points on the "
    "cone [@dhall2019]. FSOCO is the teams' shared data set [@vodisch2022]; its Roboflow export FSOCO-12 and the "
    "car's earlier pipeline are the starting point of our plan [@cridlig2026] [@fusa2025].",
    "**Detectors.** YOLO finds all objects in one pass [@redmon2016]. We train YOLO11n, the attention-centred YOLO12n "
    "[@tian2025] and YOLO26n, which needs no suppression of doubles [@ultralytics]. Accuracy is COCO's mean average "
    "precision at IoU 0.5 (mAP50) and averaged over higher limits (mAP50-95) [@lin2014].",
    "**Smaller networks of equal skill.** Distillation teaches a student with the softened scores of a larger network "
    "[@hinton2015] and with its inner features [@romero2015], for detectors with both [@chen2017]. RegNet replaces "
    "the search for single architectures by the design of a space in which widths grow linearly [@radosavovic2020]. "
    "Network slimming removes the channels whose batch-norm gain is small [@liu2017]; a dependency graph says which "
    "channels have to go together [@fang2023].",
    "**Eight bits.** Integer inference with scales found on calibration images [@jacob2018] keeps the accuracy of "
    "most convolutional networks if weights are scaled by channel [@wu2020]; NNCF does so for OpenVINO [@kozlov2020].",
    "**Adaptive inference.** AdaScale predicts the scale at which the next frame is worth looking at [@chin2019]; "
    "slicing looks at parts of an image more closely to find small objects [@akyon2022]. Our band below the horizon "
    "is one slice, placed by geometry and taken only on evidence.",
    "**Measuring.** Near copies of test images in the training data flatter figures [@barz2020]. Our projection to "
    "another GPU is a roofline by layer [@williams2009]. Sweeps run in Ray Tune [@liaw2018] or Optuna [@akiba2019]; "
    "the node is a ROS 2 node [@macenski2022].",
)


def related() -> Section:
    """Section "Related work"."""
    section = Section("related", "Related work")
    for paragraph in _TEXT:
        section.say(paragraph)
    return section
