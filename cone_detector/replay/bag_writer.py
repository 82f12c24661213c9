# SPDX-License-Identifier: Apache-2.0
"""Writes stereo images to a rosbag2 recording, as a stereo camera driver publishes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from cone_detector.replay.bag_topics import COMPRESSED, IMAGE, INFO, BagError
from cone_detector.replay.bags import TYPESTORE
from cone_detector.stereo.calibration import CameraModel

SIDES = ("left", "right")
Storage = Literal["mcap", "sqlite3"]

_FRAME_IDS = tuple(f"{side}_camera_optical_frame" for side in SIDES)
_STORAGE = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def write_bag(
    path: Path,
    pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    *,
    rate_hz: float,
    cameras: tuple[CameraModel, CameraModel] | None = None,
    jpeg_quality: int | None = None,
    storage: Storage = "mcap",
    compress: bool = False,
    start_ns: int = 1_700_000_000 * 10**9,
) -> int:
    """Writes a recording with left/image, right/image and, with `cameras`, both camera_info topics.

    path: the folder to make. pairs: left and right images, (H, W, 3) uint8 BGR. rate_hz: of the pairs.
    jpeg_quality: 1..100 for CompressedImage on <side>/image/compressed; None for raw Image on <side>/image.
    compress: zstd over the messages (sqlite3) or chunks (MCAP). start_ns: stamp of the first pair.
    Returns the number of pairs written. Raises BagError where the path exists, there are no pairs, the rate is not
    positive, or the calibration is for another image size.
    """
    if not rate_hz > 0:
        raise BagError(f"rate is {rate_hz} Hz, must be positive")
    if path.exists():
        raise BagError(f"{path} exists: remove it or choose another name")
    writer = Writer(path, version=9, storage_plugin=_STORAGE[storage])
    if compress:
        mode = CompressionMode.STORAGE if storage == "mcap" else CompressionMode.MESSAGE
        writer.set_compression(mode, CompressionFormat.ZSTD)
    try:
        with writer:
            count = _write_pairs(writer, pairs, rate_hz, cameras, jpeg_quality, start_ns)
        if not count:
            raise BagError(f"{path}: no image pairs to write")
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return count


def _write_pairs(
    writer: Writer,
    pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    rate_hz: float,
    cameras: tuple[CameraModel, CameraModel] | None,
    jpeg_quality: int | None,
    start_ns: int,
) -> int:
    kind, suffix = (IMAGE, "image") if jpeg_quality is None else (COMPRESSED, "image/compressed")
    images = [writer.add_connection(f"/{side}/{suffix}", kind, typestore=TYPESTORE) for side in SIDES]
    infos = [writer.add_connection(f"/{side}/camera_info", INFO, typestore=TYPESTORE) for side in SIDES if cameras]
    count = 0
    for count, pair in enumerate(pairs, start=1):
        stamp_ns = start_ns + round((count - 1) * 1e9 / rate_hz)
        for side, bgr in enumerate(pair):
            header = _header(stamp_ns, _FRAME_IDS[side])
            message = raw_image(header, bgr) if jpeg_quality is None else _jpeg(header, bgr, jpeg_quality)
            writer.write(images[side], stamp_ns, TYPESTORE.serialize_cdr(message, kind))
            if cameras:
                info = _info(header, cameras[side], bgr)
                writer.write(infos[side], stamp_ns, TYPESTORE.serialize_cdr(info, INFO))
    return count


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = TYPESTORE.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPESTORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def raw_image(header: Any, bgr: NDArray[np.uint8]) -> Any:
    """A sensor_msgs/Image (rosbags) of (H, W, 3) uint8 BGR pixels."""
    height, width = bgr.shape[:2]
    return TYPESTORE.types[IMAGE](
        header=header,
        height=height,
        width=width,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(bgr).reshape(-1),
    )


def _jpeg(header: Any, bgr: NDArray[np.uint8], quality: int) -> Any:
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    return TYPESTORE.types[COMPRESSED](header=header, format="bgr8; jpeg compressed bgr8", data=data.reshape(-1))


def _info(header: Any, camera: CameraModel, bgr: NDArray[np.uint8]) -> Any:
    height, width = bgr.shape[:2]
    if camera.size != (width, height):
        raise BagError("the calibration is for {}x{}, the images are {}x{}".format(*camera.size, width, height))
    region = TYPESTORE.types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    return TYPESTORE.types[INFO](
        header=header,
        height=height,
        width=width,
        distortion_model=camera.distortion_model,
        d=np.asarray(camera.D, float),
        k=np.asarray(camera.K, float),
        r=np.asarray(camera.R, float),
        p=np.asarray(camera.P, float),
        binning_x=0,
        binning_y=0,
        roi=region,
    )
