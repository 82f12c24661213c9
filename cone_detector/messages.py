# SPDX-License-Identifier: Apache-2.0
"""Detector results as ROS messages. Nothing here knows a node.

A message of many parts is filled again for each frame: building twenty `Detection3D` costs more than sending them.
What a `fill` returns is therefore valid until the next one, which is enough to publish it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Quaternion
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesisWithPose,
)
from visualization_msgs.msg import Marker, MarkerArray

from cone_detector.classes import CLASS_COLOURS_BGR, CLASS_HEIGHTS_M, CLASS_NAMES
from cone_detector.detections import Cones, Detections

# Side of the square base in metres, by class: Formula Student rules handbook, as CLASS_HEIGHTS_M.
_WIDTHS_M = (0.228, 0.285, 0.228, 0.228, 0.228)

# A viewer takes a marker away after so long: cones of a camera or a node that died must not stay in the picture.
_MARKER_LIFETIME = Duration(nanosec=500_000_000)

# Where the 3x3 covariance of a position lies in the 36 numbers of PoseWithCovariance.
_POSITION_BLOCK = (0, 1, 2, 6, 7, 8, 12, 13, 14)

_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("class_id", "<u4"), ("score", "<f4")])
# RViz wants the packed colour declared as a float.
_POINT_FIELDS = [
    PointField(name=name, offset=4 * place, datatype=datatype, count=1)
    for place, (name, datatype) in enumerate(
        (
            ("x", PointField.FLOAT32),
            ("y", PointField.FLOAT32),
            ("z", PointField.FLOAT32),
            ("rgb", PointField.FLOAT32),
            ("class_id", PointField.UINT32),
            ("score", PointField.FLOAT32),
        )
    )
]
_CLASS_RGB = np.array([(r << 16) | (g << 8) | b for b, g, r in CLASS_COLOURS_BGR], np.uint32)


class DetectionsMessage:
    """A `Detection2DArray` of one camera's cones, in pixels of its image."""

    def __init__(self) -> None:
        self._message = Detection2DArray()
        self._pool: list[Detection2D] = []

    def fill(self, detections: Detections, header: Header) -> Detection2DArray:
        """The message of `detections`, under the header of the image that they were found in."""
        while len(self._pool) < len(detections):
            self._pool.append(Detection2D(results=[ObjectHypothesisWithPose()]))
        x1, y1, x2, y2 = detections.xyxy.T
        columns = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, detections.score, detections.label)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for part, (x, y, width, height, score, label) in zip(self._pool, rows, strict=False):
            part.header = header
            box = part.bbox
            box.center.position.x, box.center.position.y = x, y
            box.size_x, box.size_y = width, height
            hypothesis = part.results[0].hypothesis
            hypothesis.class_id, hypothesis.score = CLASS_NAMES[label], score
        self._message.header = header
        self._message.detections = self._pool[: len(detections)]
        return self._message


class ConesMessage:
    """A `Detection3DArray`: bbox is the cone's body, the hypothesis' pose is the centre of its base with covariance.

    The covariance's rotation block is zero: a cone has no heading, and its axis is taken to be upright.
    """

    def __init__(self) -> None:
        self._message = Detection3DArray()
        self._pool: list[Detection3D] = []

    def fill(self, cones: Cones, header: Header, up: NDArray[np.float64], ids: Sequence[int] = ()) -> Detection3DArray:
        """The message of `cones`. up: (3,) unit vector in the frame that `header` names. ids: of tracked cones."""
        while len(self._pool) < len(cones):
            self._pool.append(Detection3D(results=[ObjectHypothesisWithPose()]))
        turned = _upright(up)
        centres = _centres(cones, up).tolist()
        blocks = cones.covariance.reshape(-1, 9)
        rows = zip(cones.position.tolist(), centres, blocks, cones.score.tolist(), cones.label.tolist(), strict=True)
        names = map(str, ids) if ids else repeat("")
        for part, name, (base, centre, block, score, label) in zip(self._pool, names, rows, strict=False):
            part.header, part.id = header, name
            place, size, result = part.bbox.center, part.bbox.size, part.results[0]
            place.position.x, place.position.y, place.position.z = centre
            place.orientation = turned
            size.x, size.y, size.z = _WIDTHS_M[label], _WIDTHS_M[label], CLASS_HEIGHTS_M[label]
            result.hypothesis.class_id, result.hypothesis.score = CLASS_NAMES[label], score
            pose = result.pose
            pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = base
            pose.pose.orientation = turned
            pose.covariance[_POSITION_BLOCK,] = block
        self._message.header = header
        self._message.detections = self._pool[: len(cones)]
        return self._message


class MarkersMessage:
    """A `MarkerArray`: one upright cylinder a cone, in its class's colour; each array replaces the one before.

    A marker's id is that of its cone's track, or its place in the array where cones are not tracked.
    """

    def __init__(self) -> None:
        self._clear = Marker(action=Marker.DELETEALL)
        self._pool: list[Marker] = []

    def fill(self, cones: Cones, header: Header, up: NDArray[np.float64], ids: Sequence[int] = ()) -> MarkerArray:
        """The message of `cones`. up: (3,) unit vector in the frame that `header` names. ids: of tracked cones."""
        while len(self._pool) < len(cones):
            cylinder = Marker(ns="cones", type=Marker.CYLINDER, action=Marker.ADD, lifetime=_MARKER_LIFETIME)
            self._pool.append(cylinder)
        turned = _upright(up)
        self._clear.header = header
        # A marker's id has 32 bits with a sign.
        numbers = [number & 0x7FFFFFFF for number in ids] or range(len(cones))
        rows = zip(numbers, _centres(cones, up).tolist(), cones.label.tolist(), strict=True)
        for marker, (number, centre, label) in zip(self._pool, rows, strict=False):
            marker.header, marker.id = header, number
            marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = centre
            marker.pose.orientation = turned
            marker.scale.x = marker.scale.y = _WIDTHS_M[label]
            marker.scale.z = CLASS_HEIGHTS_M[label]
            blue, green, red = CLASS_COLOURS_BGR[label]
            colour = marker.color
            colour.r, colour.g, colour.b, colour.a = red / 255, green / 255, blue / 255, 0.9
        return MarkerArray(markers=[self._clear, *self._pool[: len(cones)]])


def points_message(cones: Cones, header: Header) -> PointCloud2:
    """Centres of the cones' bases as a point cloud with x, y, z (metres), rgb, class_id and score."""
    points = np.zeros(len(cones), _POINT)
    points["x"], points["y"], points["z"] = cones.position.T
    points["rgb"] = _CLASS_RGB[cones.label]
    points["class_id"], points["score"] = cones.label, cones.score
    return PointCloud2(
        header=header,
        height=1,
        width=len(cones),
        fields=_POINT_FIELDS,
        point_step=_POINT.itemsize,
        row_step=_POINT.itemsize * len(cones),
        data=array("B", points.tobytes()),
        is_dense=True,
    )


def image_message(bgr: NDArray[np.uint8], header: Header) -> Image:
    """An image message of (H, W, 3) uint8 BGR pixels, which are copied once."""
    height, width, _ = bgr.shape
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    # The message's own array takes bytes in one copy; given to the constructor they are copied again.
    message.data.frombytes(np.ascontiguousarray(bgr).data.cast("B"))
    return message


class StatusMessage:
    """A `DiagnosticArray` of one status, whose values are filled in place.

    It names no hardware: PlotJuggler makes that a part of each series' name, and a layout would fit one machine alone.
    """

    def __init__(self, name: str) -> None:
        self._status = DiagnosticStatus(name=name)
        self._message = DiagnosticArray(status=[self._status])

    def fill(self, values: Mapping[str, Any], stamp: Time, message: str) -> DiagnosticArray:
        """The message of `values`, floats with three decimals."""
        pairs = self._status.values
        if len(pairs) != len(values):
            pairs = self._status.values = [KeyValue() for _ in values]
        for pair, (key, value) in zip(pairs, values.items(), strict=True):
            pair.key, pair.value = key, text_of(value)
        self._status.message = message
        self._message.header.stamp = stamp
        return self._message


def status_of(name: str, level: bytes, message: str, values: Mapping[str, Any], hardware_id: str) -> DiagnosticStatus:
    """One status of `/diagnostics`."""
    pairs: Iterable[KeyValue] = (KeyValue(key=key, value=text_of(value)) for key, value in values.items())
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=list(pairs))


def text_of(value: Any) -> str:
    """A value as diagnostics show it: floats with three decimals, truth as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _centres(cones: Cones, up: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) centres of the cones' bodies: half a height above their bases."""
    return cones.position + np.multiply.outer(np.array(CLASS_HEIGHTS_M)[cones.label] / 2, up)


def _upright(up: NDArray[np.float64]) -> Quaternion:
    """The shortest rotation that turns the z axis to `up`."""
    x, y, z = (float(value) for value in up)
    if z < -0.999999:
        return Quaternion(x=1.0, y=0.0, z=0.0, w=0.0)
    # Half-way quaternion of (0, 0, 1) and up: (cross product, 1 + dot product), normalized.
    length = float(np.sqrt(2.0 * (1.0 + z)))
    return Quaternion(x=-y / length, y=x / length, z=0.0, w=(1.0 + z) / length)
