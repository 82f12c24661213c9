# SPDX-License-Identifier: Apache-2.0
"""Draws the newest result, in a thread of its own: a picture must not cost the next frame its time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sensor_msgs.msg import Image

from cone_detector.detector import StereoResult
from cone_detector.draw import draw_detections, side_by_side
from cone_detector.messages import image_message


class Annotator:
    """Publishes both images side by side with their cones; results that come while it draws replace each other."""

    def __init__(self, publish: Callable[[Image], None], on_fault: Callable[[str, str], None]) -> None:
        self._publish = publish
        self._on_fault = on_fault
        self._waiting: StereoResult | None = None
        self._stopped = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="annotator", daemon=True)
        self._thread.start()

    def offer(self, result: StereoResult) -> None:
        """Takes the newest result; returns at once."""
        with self._condition:
            self._waiting = result
            self._condition.notify()

    def stop(self) -> None:
        """Ends the thread after the picture in work."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._waiting is not None)
                result, self._waiting = self._waiting, None
                if self._stopped or result is None:
                    return
            try:
                self._publish(_picture(result))
            except Exception as error:  # a picture that fails must not end the thread
                self._on_fault("annotation", str(error))


def _picture(result: StereoResult) -> Image:
    left, right = (
        draw_detections(image.frame.bgr(), found, result.cones, side)
        for side, (image, found) in enumerate(zip(result.images, result.detections, strict=True))
    )
    return image_message(side_by_side(left, right), result.images[0].tag)
