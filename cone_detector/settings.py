# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the detector: name, default, range, meaning. The only place where a default is written.

The node declares its ROS parameters from this table, the launch files their arguments, the documentation its reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cone_detector.classes import CLASS_NAMES

Value = bool | int | float | str

# What names of settings begin with that say where images come from, and as what.
INPUTS = ("input.", "topics.")


class SettingError(ValueError):
    """A value that a parameter cannot take; the message names parameter, value and what is allowed."""


@dataclass(frozen=True)
class Setting:
    """One parameter. live: may change while the node is active; the others are read when it is configured."""

    name: str
    default: Value
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def check(self, value: Any) -> Value:
        """The value, in the type of the default. Raises SettingError."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise SettingError(f"{self.name} is {value!r}, must be {kind.__name__}")
        if self.choices and value not in self.choices:
            raise SettingError(f"{self.name} is '{value}', must be one of {', '.join(self.choices)}")
        if self.low is not None and self.high is not None and not self.low <= float(value) <= self.high:
            raise SettingError(f"{self.name} is {value}, must lie in {self.low:g} to {self.high:g}")
        return value


def _live(name: str, default: Value, doc: str, *, low: float | None = None, high: float | None = None,
          choices: tuple[str, ...] = ()) -> Setting:  # fmt: skip
    return Setting(name, default, doc, low, high, choices, live=True)


POLICIES = ("auto", "fixed_320", "fixed_640", "cascade", "band", "zoom", "predictive")

SETTINGS: tuple[Setting, ...] = (
    Setting("autostart", True, "Configure and activate at start; false leaves that to a lifecycle manager."),
    # Engines
    Setting("engine.directory", "", "Folder of engine files and manifests; empty: the one that the package installs."),
    Setting("engine.runtime", "auto", "auto: TensorRT where a GPU and a fitting plan are, else OpenVINO on the CPU.",
            choices=("auto", "tensorrt", "openvino")),
    Setting("engine.model", "", "Model to load, as yolo11n; empty: the best evaluated one."),
    Setting("engine.precision", "auto", "Precision to load; auto: int8, or what was faster when the plans were built.",
            choices=("auto", "fp32", "fp16", "int8")),
    Setting("engine.manifest_320", "", "Manifest of the 320 engine, instead of a search; set manifest_640 too."),
    Setting("engine.manifest_640", "", "Manifest of the 640 engine, instead of a search; set manifest_320 too."),
    Setting("engine.manifest_band", "", "Manifest of the band engine, beside the two others, where there is one."),
    Setting("engine.manifest_zoom", "", "Manifest of the zoom engine, beside the others, where there is one."),
    Setting("engine.threads", 0, "CPU threads of one pass (OpenVINO); 0: all cores.", 0, 64),
    # Detection
    _live("confidence", 0.35, "Lowest score of a cone that is published.", low=0.01, high=1.0),
    *(
        _live(f"class_confidence.{name}", 0.0, f"Lowest score of a {name}; 0: `confidence` decides.", low=0.0, high=1.0)
        for name in CLASS_NAMES
    ),
    _live("nms_iou", 0.5, "Overlap above which the weaker of two boxes of one class goes.",
          low=0.05, high=1.0),
    _live("nms_iou_across_classes", 0.7, "Overlap above which the weaker of any two boxes goes; 1: both stay.",
          low=0.05, high=1.0),
    # Adaptive inference
    _live("policy.name", "auto", "Which passes run on a frame. auto: band where its engine is, else fixed_640.",
          choices=POLICIES),
    _live("policy.strip_after_640", False, "band, zoom: 640 goes first, not 320. Finds more, and costs a GPU little."),
    _live("policy.band_on_evidence", True, "band, zoom: look at the strip of far cones on evidence only, not always."),
    _live("policy.evidence.nothing_seen", True, "Evidence: an image shows no cone at all."),
    _live("policy.evidence.mean_confidence", False, "Evidence: the mean score of an image is low."),
    _live("policy.min_mean_confidence", 0.80, "Lowest mean score of an image that is no evidence.", low=0.0, high=1.0),
    _live("policy.evidence.lowest_confidence", False, "Evidence: the weakest cone of an image."),
    _live("policy.min_lowest_confidence", 0.50, "Lowest score of a cone that is no evidence.", low=0.0, high=1.0),
    _live("policy.evidence.ambiguous", True, "Evidence: detections that may be cones or not."),
    _live("policy.ambiguous_from", 0.10, "Lowest score of an ambiguous detection.", low=0.01, high=1.0),
    _live("policy.ambiguous_to", 0.50, "Highest score of an ambiguous detection.", low=0.01, high=1.0),
    _live("policy.max_ambiguous", 3, "Ambiguous detections of an image that are no evidence.", low=0, high=100),
    _live("policy.evidence.disagreement", False, "Evidence: one image shows fewer cones than the other."),
    _live("policy.max_disagreement", 3, "Difference in cones, left and right, that is no evidence.", low=0, high=100),
    _live("policy.evidence.size_limit", False, "Evidence: cones near the smallest size that 320 can see."),
    _live("policy.size_limit_px", 18.0, "Box height in canvas pixels below which 320 is not relied on.",
          low=2.0, high=200.0),
    _live("policy.evidence.row_gap", False, "Evidence: a gap in a row of cones of one class."),
    _live("policy.max_row_gap", 2.5, "Step between neighbours, in median steps, that is no evidence.",
          low=1.0, high=20.0),
    _live("policy.evidence.lost_tracks", False, "Evidence: cones of the frame before that the first pass misses."),
    _live("policy.max_lost_tracks", 0, "Lost cones of an image that are no evidence.", low=0, high=100),
    _live("policy.hold_frames", 0, "Frames for which evidence counts on after it has gone.", low=0, high=1000),
    _live("policy.refresh_frames", 30, "The closer look comes at least every so many frames; 0: on evidence only.",
          low=0, high=10000),
    _live("policy.deadline_ms", 0.0, "No second pass that would end later than this after the pair; 0: no deadline.",
          low=0.0, high=1000.0),
    _live("policy.camera_height_m", 1.0, "Height of the cameras above the ground, to place the band.",
          low=0.1, high=5.0),
    _live("policy.camera_pitch_deg", 0.0, "How far the cameras look down, to place the band before a cone is seen.",
          low=-45.0, high=45.0),
    # Pairing and queue
    Setting("sync.tolerance_ms", 5.0, "Largest difference of the stamps of a pair.", 0.0, 1000.0),
    Setting("queue.depth", 1, "Complete pairs that may wait; one more pushes out the oldest. 1: latest wins.", 1, 16),
    # Input
    Setting("input.mode", "pair", "pair: two image topics; side_by_side: one image, left half and right half.",
            choices=("pair", "side_by_side")),
    Setting("input.compressed", False, "Subscribe to sensor_msgs/CompressedImage instead of Image."),
    Setting("topics.left_image", "left/image", "Left image topic."),
    Setting("topics.right_image", "right/image", "Right image topic."),
    Setting("topics.side_by_side", "side_by_side/image", "Image topic in side_by_side mode."),
    Setting("topics.left_info", "left/camera_info", "Left CameraInfo topic."),
    Setting("topics.right_info", "right/camera_info", "Right CameraInfo topic."),
    Setting("qos.reliability", "best_effort", "Reliability of the image subscriptions.",
            choices=("best_effort", "reliable")),
    Setting("qos.depth", 5, "History depth of the image subscriptions.", 1, 100),
    # Stereo
    _live("stereo.enabled", True, "Locate cones in space; needs CameraInfo of both cameras."),
    _live("stereo.min_range_m", 0.5, "Nearest cone that is located.", low=0.1, high=10.0),
    _live("stereo.max_range_m", 30.0, "Farthest cone that is located.", low=1.0, high=200.0),
    _live("stereo.max_row_difference_px", 6.0, "Largest row difference of one cone's two boxes, in image pixels.",
          low=0.5, high=100.0),
    _live("stereo.box_sigma_px", 1.5, "Standard deviation of a box's edge in image pixels.", low=0.1, high=20.0),
    _live("stereo.refine", True, "Refine disparity below a pixel on the images; false: box centres alone."),
    Setting("stereo.rectify", False, "The images are raw: rectify cones by K, D, R and P of CameraInfo."),
    _live("stereo.tracking", False, "Track located cones over time: ids that stay, gaps bridged, class by vote."),
    _live("stereo.track_bridge_frames", 5, "Frames for which a tracked cone that is not located is kept.",
          low=0, high=100),
    _live("stereo.track_confirm_frames", 2, "Frames in which a cone must be located before it is published.",
          low=1, high=100),
    Setting("stereo.target_frame", "base_link",
            "Frame of published cones, fixed to the car, where tf has it; empty: left optical frame."),
    # Output
    _live("publish.detections", True, "Publish detections/left and detections/right."),
    _live("publish.cones", True, "Publish cones."),
    _live("publish.points", True, "Publish cones/points."),
    _live("publish.markers", True, "Publish cones/markers."),
    _live("publish.annotated", True, "Publish image_annotated while somebody subscribes."),
    _live("publish.latency", True, "Publish latency and latency/*_ms."),
)  # fmt: skip

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


class Settings(Mapping[str, Any]):
    """A checked, unchangeable set of all parameters; a change makes a new one, so readers never see half of it."""

    def __init__(self, changes: Mapping[str, Value] | None = None) -> None:
        """The defaults with `changes`. Raises SettingError for an unknown name or a value out of range."""
        self._values: dict[str, Value] = {setting.name: setting.default for setting in SETTINGS}
        for name, value in (changes or {}).items():
            if name not in BY_NAME:
                raise SettingError(f"{name} is no parameter of cone_detector")
            self._values[name] = BY_NAME[name].check(value)

    def changed(self, changes: Mapping[str, Value]) -> Settings:
        """A copy with `changes`. Raises SettingError."""
        return Settings({**self._values, **changes})

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
