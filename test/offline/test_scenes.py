# SPDX-License-Identifier: AGPL-3.0-only
"""Synthetic scenes: the truth that is written is the truth that is drawn, in both eyes, and seeds decide it all."""

import json
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from cone_detector.classes import CLASS_NAMES
from offline_tools.scenes.camera import ZED_2I_720P, Intrinsics, look_along
from offline_tools.scenes.command import main
from offline_tools.scenes.cones import BLUE, LARGE_ORANGE, ORANGE, UNKNOWN, YELLOW, make_cone
from offline_tools.scenes.dataset import seen, training_picture, write_training_set, yolo_rows
from offline_tools.scenes.disturbances import add_graphics, soil_lens
from offline_tools.scenes.light import WEATHERS, make_light
from offline_tools.scenes.markings import Markings, add_cone_shadows
from offline_tools.scenes.photometric import Sensor, develop
from offline_tools.scenes.render import render_view
from offline_tools.scenes.scene import SceneConfig, build_scene
from offline_tools.scenes.sequence import write_sequence
from offline_tools.scenes.stereo import StereoRig, benchmark_frames, drive
from offline_tools.scenes.track import make_track

HALF_RIG = StereoRig(ZED_2I_720P.scaled(0.5))
QUIET = Sensor(noise=0.0, smear=0.0, sharpen=0.0, bloom=0.0)


def scene_of(cones, car=False, weather="overcast"):
    """A scene without markings that holds just these cones, for a camera at the origin that looks along x."""
    scene = build_scene(SceneConfig(3, "loose", weather, car=car, camera_height=1.0))
    markings = Markings()
    add_cone_shadows(markings, tuple(cones), scene.light)
    return replace(scene, track=replace(scene.track, cones=tuple(cones)), markings=markings)


def camera_at_origin(lens=HALF_RIG.lens, pitch=0.1):
    return look_along(lens, np.array([0.0, 0.0, 1.0]), 0.0, pitch)


def cone_at(kind, x, y, seed=0):
    return replace(make_cone(kind, x, y, np.random.default_rng(seed)), dirt=0.0, lean=0.0)


@lru_cache(maxsize=1)
def benchmark():
    return tuple(benchmark_frames(3, 5, HALF_RIG))


def clear_cones():
    """Upright cones that both eyes see whole, of the benchmark's frames."""
    height, width = HALF_RIG.lens.height, HALF_RIG.lens.width
    for frame in benchmark():
        for cone in frame.cones:
            boxes = cone.full_boxes
            inside = all(b is not None and (b[:2] > 0).all() and (b[2:] < [width, height]).all() for b in boxes)
            if inside and min(cone.visibility) > 0.98 and cone.class_index != UNKNOWN:
                yield frame, cone


# Cameras


@pytest.mark.parametrize("distortion", [0.0, -0.1, -0.3])
def test_a_pixel_s_ray_projects_back_onto_the_pixel(distortion):
    lens = Intrinsics(64, 36, 40.0, 41.0, 31.0, 18.5, distortion)
    camera = look_along(lens, np.array([2.0, -1.0, 1.1]), 0.7, 0.1, 0.05)
    pixels = camera.project(camera.position + 9.0 * camera.rays().astype(float))
    x, y = np.meshgrid(np.arange(64), np.arange(36))
    np.testing.assert_allclose(pixels, np.stack([x, y], axis=-1), atol=2e-3)


def test_optical_frame_is_right_down_forward():
    camera = look_along(ZED_2I_720P, np.array([0.0, 0.0, 1.0]), 0.0)
    np.testing.assert_allclose(camera.to_optical(np.array([5.0, -2.0, 0.0])), [2.0, 1.0, 5.0], atol=1e-12)


def test_scaling_a_lens_keeps_directions():
    camera = camera_at_origin(ZED_2I_720P)
    small = replace(camera, intrinsics=ZED_2I_720P.scaled(0.25))
    point = np.array([6.0, 1.0, 0.2])
    # Pixel edges scale, pixel centres lie half a pixel beside them.
    np.testing.assert_allclose((camera.project(point) + 0.5) / 4, small.project(point) + 0.5, atol=1e-9)


# Seeds


def test_the_same_seed_draws_the_same_bytes():
    first, second = training_picture(11, 256, 144), training_picture(11, 256, 144)
    np.testing.assert_array_equal(first.image, second.image)
    assert yolo_rows(first.cones, 256, 144) == yolo_rows(second.cones, 256, 144)
    assert not np.array_equal(first.image, training_picture(12, 256, 144).image)


def test_the_number_of_processes_changes_nothing(tmp_path):
    one = write_training_set(tmp_path / "one", 2, seed=40)
    two = write_training_set(tmp_path / "two", 2, seed=40, jobs=2)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert one == two
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# Truth against geometry


def test_base_centre_projects_into_the_foot_of_its_box():
    lens, checked = HALF_RIG.lens, 0
    for _, cone in clear_cones():
        x, y, z = cone.position
        # Boxes count from the pixel's edge, projections from its centre.
        u, v = lens.fx * x / z + lens.cx + 0.5, lens.fy * y / z + lens.cy + 0.5
        for box, centre in ((cone.full_boxes[0], u), (cone.full_boxes[1], u - cone.disparity)):
            width, height = box[2] - box[0], box[3] - box[1]
            assert abs(centre - (box[0] + box[2]) / 2) < 0.12 * width + 0.5
            assert -0.5 < box[3] - v < 0.35 * height + 0.5
        checked += 1
    assert checked >= 15


def test_boxes_of_both_eyes_lie_one_disparity_apart_on_the_same_rows():
    for _, cone in clear_cones():
        left, right = cone.full_boxes
        assert cone.disparity == pytest.approx(HALF_RIG.lens.fx * HALF_RIG.baseline / cone.position[2])
        shift = (left[[0, 2]] - right[[0, 2]]).mean()
        # The box's sides are corners of the base, at most its half diagonal (0.2 m) before its centre.
        nearer = HALF_RIG.lens.fx * HALF_RIG.baseline / (cone.position[2] - 0.21)
        assert cone.disparity - 0.05 * (nearer - cone.disparity) - 0.02 < shift < nearer
        assert np.abs(left[[1, 3]] - right[[1, 3]]).max() < 1e-6


def test_drawn_pixels_shift_by_the_disparity():
    """Correlation of the pictures themselves, not of the boxes: a cone's body is drawn where the truth says."""
    cones = [
        cone_at(kind, 3.0 + 2.5 * i, 0.7 * (i - 1.5)) for i, kind in enumerate((BLUE, YELLOW, ORANGE, LARGE_ORANGE))
    ]
    scene, left = scene_of(cones), camera_at_origin(ZED_2I_720P)
    pictures = []
    for camera in (left, left.shifted(0.12)):
        radiance, views = render_view(scene, camera, (0.0, 0.0, 0.0))
        pictures.append(develop(radiance, QUIET, 0.4, np.random.default_rng(0)).astype(np.float32))
    for view in views:
        # `views` are the right eye's; the middle of the body lies on the cone's axis.
        x1, y1, x2, y2 = np.round(view.full_box).astype(int)
        rows = slice(y1 + (y2 - y1) // 8, y2 - (y2 - y1) // 3)
        expected = 700 * 0.12 / view.position[2]
        template = pictures[1][rows, x1 - 2 : x2 + 2]
        strip = pictures[0][rows, x1 - 2 : x2 + 2 + int(expected) + 8]
        score = cv2.matchTemplate(strip, template, cv2.TM_CCOEFF_NORMED)[0]
        best = int(np.clip(score.argmax(), 1, len(score) - 2))
        a, b, c = score[best - 1 : best + 2]
        measured = best + 0.5 * (a - c) / (a - 2 * b + c)
        assert measured == pytest.approx(expected, abs=max(0.25, 0.03 * expected))
        assert score.max() > 0.95


def test_the_ground_shifts_by_its_own_disparity():
    scene, left = scene_of([]), camera_at_origin(pitch=0.15)
    first, second = (render_view(scene, c, (0.0, 0.0, 0.0))[0] for c in (left, left.shifted(0.12)))
    lens = HALF_RIG.lens
    rows = np.arange(250, 350)
    down = (rows - lens.cy) / lens.fy
    # Ground below a camera 1 m high that looks down by p: depth * (y cos p + sin p) = 1.
    depth = 1.0 / (down * np.cos(0.15) + np.sin(0.15))
    x, y = np.meshgrid(np.arange(60, 560, dtype=np.float32), rows.astype(np.float32))
    x = x - (lens.fx * 0.12 / depth)[:, None].astype(np.float32)
    shifted = cv2.remap(second, x, y, cv2.INTER_LINEAR).mean(axis=2)
    plain = second[250:350, 60:560].mean(axis=2)
    there = first[250:350, 60:560].mean(axis=2)
    assert np.corrcoef(there.ravel(), shifted.ravel())[0, 1] > 0.85
    assert np.corrcoef(there.ravel(), plain.ravel())[0, 1] < 0.5


def test_a_hidden_cone_gets_the_box_of_what_is_seen_or_none():
    front, beside, behind = cone_at(LARGE_ORANGE, 4.0, 0.0), cone_at(BLUE, 4.6, 0.10), cone_at(YELLOW, 4.45, 0.0)
    _, views = render_view(scene_of([front, beside, behind]), camera_at_origin(pitch=0.05), (0.0, 0.0, 0.0))
    by_class = {view.class_index: view for view in views}
    assert by_class[LARGE_ORANGE].visibility > 0.98
    assert 0.2 < by_class[BLUE].visibility < 0.9
    assert by_class[BLUE].box[2] < by_class[BLUE].full_box[2] or by_class[BLUE].box[0] > by_class[BLUE].full_box[0]
    assert by_class[YELLOW].visibility < 0.3


def test_the_car_hides_cones():
    cone = cone_at(BLUE, 1.3, 0.0)
    camera = camera_at_origin(pitch=0.3)
    bare = render_view(scene_of([cone]), camera, (0.0, 0.0, 0.0))[1][0]
    hidden = render_view(scene_of([cone], car=True), camera, (0.0, 0.0, 0.0))[1][0]
    assert bare.visibility > 0.7
    assert hidden.visibility < 0.5 * bare.visibility


@pytest.mark.parametrize(
    ("box", "visibility", "label"),
    [
        ([0, 0, 30, 40], 0.9, True),
        ([0, 0, 30, 40], 0.1, False),  # hidden
        ([0, 0, 4, 5.9], 1.0, False),  # below 6 px at 1280
        ([0, 0, 4, 6.1], 1.0, True),
    ],
)
def test_what_is_labelled(box, visibility, label):
    assert seen(np.array(box, float), visibility, 1280) is label


# Colours and classes


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize(("kind", "order"), [(BLUE, (0, 1, 2)), (YELLOW, (2, 1, 0)), (ORANGE, (2, 1, 0))])
def test_a_cone_keeps_its_colour_in_all_weather(weather, kind, order):
    scene = scene_of([cone_at(kind, 4.0, 0.0)], weather=weather)
    radiance, views = render_view(scene, camera_at_origin(), (0.0, 0.0, 0.0))
    x1, y1, x2, y2 = views[0].full_box
    row = int(y1 + 0.15 * (y2 - y1))
    channels = radiance[row, int((x1 + x2) / 2)] / make_light(weather, np.random.default_rng([3, 1])).level
    assert channels[order[0]] > channels[order[1]] > 0.8 * channels[order[2]]


def test_all_classes_stand_on_tracks_and_before_training_cameras():
    layout_classes = {
        layout: {cone.class_index for cone in make_track(layout, np.random.default_rng(2), 0.1).cones}
        for layout in ("circuit", "acceleration", "loose")
    }
    assert all(found == set(range(5)) for found in layout_classes.values()), layout_classes
    labelled = {
        int(row.split()[0])
        for seed in range(6)
        for row in yolo_rows(training_picture(seed, 320, 180).cones, 320, 180).splitlines()
    }
    assert labelled == set(range(len(CLASS_NAMES)))


def test_blue_is_left_and_yellow_is_right():
    track = make_track("circuit", np.random.default_rng(4), 0.0)
    for cone in track.cones:
        if cone.class_index not in (BLUE, YELLOW):
            continue
        offset = track.centre - [cone.x, cone.y]
        nearest = int((offset**2).sum(axis=1).argmin())
        place, heading = track.pose(nearest * track.step)
        side = np.cross([np.cos(heading), np.sin(heading), 0.0], [cone.x - place[0], cone.y - place[1], 0.0])[2]
        assert (side > 0) == (cone.class_index == BLUE)


def test_labels_lie_inside_the_picture():
    rows = 0
    for seed in range(20, 24):
        for line in yolo_rows(training_picture(seed, 320, 180).cones, 320, 180).splitlines():
            index, x, y, w, h = (float(word) for word in line.split())
            assert index in range(5)
            assert w > 0
            assert h > 0
            assert -1e-5 <= x - w / 2 <= x + w / 2 <= 1 + 1e-5
            assert -1e-5 <= y - h / 2 <= y + h / 2 <= 1 + 1e-5
            rows += 1
    assert rows > 20


@pytest.mark.parametrize("wet", [False, True])
def test_a_soiled_lens_spoils_spots_and_leaves_the_rest(wet):
    image = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    soiled = soil_lens(image, np.random.default_rng(1), wet)
    changed = (soiled != image).any(axis=2).mean()
    assert 0.001 < changed < 0.5


def test_captions_are_drawn_over_the_picture():
    image = np.zeros((180, 320, 3), np.uint8)
    for seed in range(4):
        add_graphics(image, np.random.default_rng(seed))
    assert 0.001 < image.any(axis=2).mean() < 0.3


# Sequences


def test_a_sequence_on_disk_holds_calibration_and_triangulable_truth(tmp_path):
    config = SceneConfig(107, environment="paddock", odd_share=0.08, camera_height=1.0)
    frames = drive(config, QUIET, speed=8.0, rate=16.0, count=2, rig=HALF_RIG)
    assert write_sequence(tmp_path, frames, HALF_RIG) == 2
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    assert calibration == {
        "fx": 350.0, "fy": 350.0, "cx": 319.75, "cy": 179.75, "baseline": 0.12, "width": 640, "height": 360,
    }  # fmt: skip
    for eye in ("left", "right"):
        assert cv2.imread(str(tmp_path / eye / "000001.png")).shape == (360, 640, 3)
    first, second = json.loads((tmp_path / "truth.json").read_text())
    assert second["seconds"] == pytest.approx(1 / 16)
    assert len(first["cones"]) > 8
    p_left, p_right = HALF_RIG.projections()
    for cone in first["cones"]:
        point = np.array([*cone["xyz"], 1.0])
        left, right = p_left @ point, p_right @ point
        assert left[0] / left[2] - right[0] / right[2] == pytest.approx(cone["disparity"], rel=1e-3)
        assert cone["class"] in CLASS_NAMES
    # The world stands still: a cone comes nearer by about the 0.5 m that the car has driven.
    ahead = {cone["id"]: cone["xyz"] for cone in first["cones"] if abs(cone["xyz"][0]) < 0.3 * cone["xyz"][2]}
    moved = [ahead[c["id"]][2] - c["xyz"][2] for c in second["cones"] if c["id"] in ahead]
    assert np.median(moved) == pytest.approx(0.5, abs=0.12)


def test_the_benchmark_spreads_cones_over_3_to_20_metres():
    depths = np.array([cone.position[2] for frame in benchmark() for cone in frame.cones])
    counts, _ = np.histogram(depths, [2.5, 7, 12, 21])
    assert counts.sum() == len(depths)
    assert counts.min() >= 8


# Bad input


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layout": "maze"}, "unknown layout 'maze'.*circuit"),
        ({"weather": "snow"}, "unknown weather 'snow'.*overcast"),
        ({"surface": "ice"}, "unknown surface 'ice'.*asphalt"),
        ({"environment": "moon"}, "unknown environment 'moon'.*paddock"),
    ],
)
def test_an_unknown_choice_is_named_with_the_known_ones(choice, message):
    with pytest.raises(ValueError, match=message):
        build_scene(SceneConfig(0, **choice))


def test_the_command_draws_and_refuses_nonsense(tmp_path, capsys):
    assert main(["train", str(tmp_path), "--count", "1"]) == 0
    assert "1 pictures" in capsys.readouterr().out
    assert len(list((tmp_path / "images").iterdir())) == 1
    with pytest.raises(SystemExit) as stop:
        main(["train", str(tmp_path), "--count", "0"])
    assert stop.value.code == 2
    assert "--count is 0" in capsys.readouterr().err
