# SPDX-License-Identifier: Apache-2.0
"""Draws the newest result, in a thread of its own: a picture must not cost the next frame its time."""

from __future__ import annotations

from collections.abc import Callable

from sensor_msgs.msg import Image

from cone_detector.detector import StereoResult
from cone_detector.draw import draw_detections, side_by_side
from cone_detector.messages import image_message
from cone_detector.ros.worker import Worker


class Annotator:
    """Publishes both images side by side with their cones; results that come while it draws replace each other."""

    def __init__(self, publish: Callable[[Image], None], on_fault: Callable[[str, str], None]) -> None:
        self._publish = publish
        self._on_fault = on_fault
        self._worker = Worker("annotator", self._draw)

    def offer(self, result: StereoResult) -> None:
        """Takes the newest result; returns at once."""
        self._worker.put(result)

    def stop(self) -> None:
        """Ends the thread after the picture in work."""
        self._worker.stop()

    def _draw(self, result: StereoResult) -> None:
        try:
            left, right = (
                draw_detections(image.frame.bgr(), found, result.cones, side)
                for side, (image, found) in enumerate(zip(result.images, result.detections, strict=True))
            )
            self._publish(image_message(side_by_side(left, right), result.images[0].tag))
        except Exception as error:  # a picture that fails must not end the thread
            self._on_fault("annotation", str(error))
