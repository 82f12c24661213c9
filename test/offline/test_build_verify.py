# SPDX-License-Identifier: AGPL-3.0-only
"""Whether a plan's rows are those of its ONNX, and on which frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cone_detector.engine.manifest import Precision
from cone_detector.replay.bag_writer import write_bag
from offline_tools.build.frames import FramesError, read_canvases
from offline_tools.build.verify import SCORE_FLOOR, compare


def rows(*cones: tuple[float, ...]) -> np.ndarray:
    found = np.zeros((2, 300, 6), np.float32)
    for index, cone in enumerate(cones):
        found[:, index] = cone
    return found


CONE = (100.0, 100.0, 120.0, 130.0, 0.9, 0.0)


@pytest.mark.parametrize(
    ("other", "found", "within"),
    [
        (CONE, 1.0, 1.0),
        ((101.9, 100.0, 120.0, 130.0, 0.885, 0.0), 1.0, 1.0),
        ((102.1, 100.0, 120.0, 130.0, 0.9, 0.0), 1.0, 0.0),
        ((100.0, 100.0, 120.0, 130.0, 0.87, 0.0), 1.0, 0.0),
        ((100.0, 100.0, 120.0, 130.0, 0.9, 1.0), 0.0, 0.0),
        ((130.0, 100.0, 150.0, 130.0, 0.9, 0.0), 0.0, 0.0),
    ],
)
def test_rows_agree_within_two_pixels_and_two_hundredths(other: tuple[float, ...], found: float, within: float) -> None:
    agreement = compare([rows(CONE)], [rows((5, 5, 9, 9, 0.2, 0), other)])
    assert (agreement.frames, agreement.rows) == (2, 2)
    assert agreement.found == found
    assert agreement.within_limits == within
    assert (agreement.shortfall("fp16") is None) == (within == 1.0)


def test_int8_may_differ_but_must_find_the_cones() -> None:
    shaken = rows((103.0, 100.0, 120.0, 130.0, 0.78, 0.0))
    assert compare([rows(CONE)], [shaken]).shortfall("int8") is None
    lost = compare([rows(CONE)], [rows()]).shortfall("int8")
    assert lost == "0.0% of the reference's rows are found, must be 90.0%"


def every_row_of(cones: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.stack([change(image.copy()) for image in cones])


def scores_of_a_hundredth(image: np.ndarray) -> np.ndarray:
    image[:, 4] *= 0.01
    return image


def boxes_beside_the_cones(image: np.ndarray) -> np.ndarray:
    image[:, [0, 2]] += 15.0
    return image


def background_called_cones(image: np.ndarray) -> np.ndarray:
    image[10:, 4] = 0.9
    return image


def cones_where_nothing_is(image: np.ndarray) -> np.ndarray:
    image[10:] = (400.0, 300.0, 420.0, 330.0, 0.9, 1.0)
    return image


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (scores_of_a_hundredth, "0.0% of the rows lie within"),
        (boxes_beside_the_cones, "0.0% of the rows lie within"),
        (background_called_cones, "96.7% of the plan's rows are not the reference's"),
        (cones_where_nothing_is, "96.7% of the plan's rows are not the reference's"),
    ],
)
def test_a_plan_of_any_precision_that_answers_wrongly_falls_short(
    precision: Precision, change: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    sure = [(60.0 * n, 100.0, 60.0 * n + 20, 130.0, 0.9 - 0.05 * n, 0.0) for n in range(10)]
    faint = [(2.0 * n, 200.0, 2.0 * n + 20, 230.0, 0.01, 0.0) for n in range(290)]
    reference = rows(*sure, *faint)
    assert compare([reference], [reference]).shortfall(precision) is None
    shortfall = compare([reference], [every_row_of(reference, change)]).shortfall(precision)
    assert shortfall is not None
    assert shortfall.startswith(reason)


def test_frames_without_cones_prove_nothing() -> None:
    faint = rows((*CONE[:4], SCORE_FLOOR - 0.01, 0.0))
    shortfall = compare([faint], [faint]).shortfall("fp16")
    assert shortfall is not None
    assert "give frames that show cones" in shortfall


def test_images_of_a_folder_are_paired_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, value in (("a.png", 10), ("b.png", 20), ("c.jpg", 30), ("d.png", 40), ("e.png", 50)):
        cv2.imwrite(str(tmp_path / name), np.full((72, 128, 3), value, np.uint8))
    found = read_canvases(tmp_path, (640, 384), 10)
    assert [canvas[:, 192, 320, 0].tolist() for canvas in found] == [[10, 20], [30, 40]]
    assert found[0][0, 0, 0].tolist() == [114, 114, 114]
    assert len(read_canvases(tmp_path, (640, 384), 1)) == 1


@pytest.mark.parametrize(("name", "reason"), [("a.png", "a.png is no image"), ("a.txt", "holds 0 images")])
def test_a_folder_without_images_is_told(tmp_path: Path, name: str, reason: str) -> None:
    for file in (tmp_path / name, tmp_path / f"b{name}"):
        file.write_bytes(b"no image")
    with pytest.raises(FramesError, match=reason):
        read_canvases(tmp_path, (640, 384), 10)


def test_a_recording_gives_its_pairs(tmp_path: Path) -> None:
    pairs = [tuple(np.full((72, 128, 3), 20 * i + side, np.uint8) for side in (1, 2)) for i in range(5)]
    write_bag(tmp_path / "bag", iter(pairs), rate_hz=30.0, jpeg_quality=None)  # type: ignore[arg-type]
    found = read_canvases(tmp_path / "bag", (640, 384), 3)
    assert [canvas[:, 192, 320, 0].tolist() for canvas in found] == [[1, 2], [41, 42], [81, 82]]
