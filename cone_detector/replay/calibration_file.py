# SPDX-License-Identifier: Apache-2.0
"""Calibrations from files: one JSON of a rectified rig, or two ROS calibration YAML files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cone_detector.stereo.calibration import CameraModel

_KEYS = ("width", "height", "fx", "fy", "cx", "cy", "baseline")


class CalibrationFileError(ValueError):
    """A calibration that cannot be used; the message names file, field and value."""


def rectified_rig(
    width: int, height: int, fx: float, fy: float, cx: float, cy: float, baseline: float
) -> tuple[CameraModel, CameraModel]:
    """Left and right camera of a rectified pair. fx, fy, cx, cy in pixels, baseline in metres.

    P of the right camera has -fx * baseline in its fourth column (sensor_msgs/CameraInfo). Raises
    CalibrationFileError.
    """
    for name, value in (("width", width), ("height", height), ("fx", fx), ("fy", fy), ("baseline", baseline)):
        if not value > 0:
            raise CalibrationFileError(f"{name} is {value}, must be positive")
    k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    eye = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def camera(tx: float) -> CameraModel:
        p = (fx, 0.0, cx, tx, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
        return CameraModel((width, height), p, k, (0.0,) * 5, eye)

    return camera(0.0), camera(-fx * baseline)


def read_calibration(paths: list[Path]) -> tuple[CameraModel, CameraModel]:
    """Left and right camera, from one file or two.

    One JSON has width, height, fx, fy, cx, cy (pixels) and baseline (metres) of a rectified rig; two YAML files, left
    and right, are what ROS camera_calibration writes. Raises CalibrationFileError.
    """
    if len(paths) == 1:
        return _read_json(paths[0])
    if len(paths) == 2:
        return _read_yaml(paths[0]), _read_yaml(paths[1])
    raise CalibrationFileError(f"{len(paths)} calibration files: give one JSON, or the left and the right YAML")


def _read_json(path: Path) -> tuple[CameraModel, CameraModel]:
    values = _mapping(path, json.loads)
    missing = [key for key in _KEYS if not isinstance(values.get(key), (int, float))]
    if missing:
        raise CalibrationFileError(f"{path}: no number for {', '.join(missing)}; needed are {', '.join(_KEYS)}")
    try:
        return rectified_rig(int(values["width"]), int(values["height"]), *(float(values[key]) for key in _KEYS[2:]))
    except CalibrationFileError as error:
        raise CalibrationFileError(f"{path}: {error}") from error


def _read_yaml(path: Path) -> CameraModel:
    import yaml

    values = _mapping(path, yaml.safe_load)

    def numbers(key: str, count: int | None) -> tuple[float, ...]:
        try:
            data = tuple(np.asarray(values[key]["data"], float).tolist())
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationFileError(f"{path}: {key}.data is missing or holds no numbers") from error
        if count is not None and len(data) != count:
            raise CalibrationFileError(f"{path}: {key}.data has {len(data)} numbers, must have {count}")
        return data

    try:
        width, height = int(values["image_width"]), int(values["image_height"])
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationFileError(f"{path}: image_width and image_height are needed, in pixels") from error
    return CameraModel(
        (width, height),
        P=numbers("projection_matrix", 12),
        K=numbers("camera_matrix", 9),
        D=numbers("distortion_coefficients", None),
        R=numbers("rectification_matrix", 9),
        distortion_model=str(values.get("distortion_model", "plumb_bob")),
    )


def _mapping(path: Path, parse: Any) -> Mapping[str, Any]:
    try:
        values = parse(path.read_text())
    except Exception as error:
        raise CalibrationFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, Mapping):
        raise CalibrationFileError(f"{path} holds no table of values")
    return values
