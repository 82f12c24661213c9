# SPDX-License-Identifier: Apache-2.0
"""The detector that the settings ask for, for a bag: engine, and the calibration that the bag carries."""

from __future__ import annotations

from cone_detector.detector import StereoDetector
from cone_detector.engine.select import choose_for, load
from cone_detector.pairing import slots_needed
from cone_detector.paths import shared
from cone_detector.process import limit_opencv_threads
from cone_detector.replay.bags import StereoBag
from cone_detector.replay.records import engine_text
from cone_detector.settings import Settings
from cone_detector.stereo.calibration import CalibrationError, CameraModel, StereoCalibration
from cone_detector.stereo.locator import StereoLocator

PASSES = ("320", "640")


def load_detector(bag: StereoBag, settings: Settings) -> tuple[StereoDetector, str, list[str]]:
    """The detector, its engine in one line, and what a reader of its figures should know.

    OpenCV's threads become as many as in the node. Raises SettingError, EngineError or ManifestError; a bag without
    calibration only makes a note.
    """
    limit_opencv_threads()
    choice = choose_for(settings, shared("engines"), PASSES)
    engine = load(choice, slots_needed(settings["queue.depth"]), settings["engine.threads"])
    detector = StereoDetector(engine, settings)
    # Figures are kept and shown to others: where the engines lie on this machine is nobody's business there.
    folder = choice.candidate.paths[0].parent
    notes = [f"engine: {choice.reason.replace(str(folder), folder.name)}"]
    try:
        calibration = calibration_of(bag, settings["stereo.rectify"])
    except CalibrationError as error:
        detector.no_locator_reason = str(error)
        notes.append(f"no cones in space: {error}")
    else:
        detector.locator = StereoLocator(calibration, settings)
        rows = calibration.size[1]
        detector.pinhole = ((calibration.cy / rows, calibration.fy / rows),) * 2
    candidate = choice.candidate
    return detector, engine_text(candidate.model, candidate.precision, candidate.runtime, engine.device), notes


def calibration_of(bag: StereoBag, rectify: bool) -> StereoCalibration:
    """The calibration by the bag's CameraInfo. rectify: its images are raw. Raises CalibrationError."""
    left, right = (
        info and CameraModel((info.width, info.height), info.p, info.k, info.d, info.r, info.distortion_model)
        for info in bag.infos()
    )
    if left is None or right is None:
        raise CalibrationError("the bag has no CameraInfo of both cameras")
    return StereoCalibration.from_cameras(left, right, rectify)
