# SPDX-License-Identifier: Apache-2.0
import json
import re

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from cone_detector.replay import bag_cli
from cone_detector.replay.bag_topics import COMPRESSED, IMAGE, INFO, BagError, StereoTopics, choose_topics
from cone_detector.replay.bag_writer import raw_image, write_bag
from cone_detector.replay.bags import TYPESTORE, StereoBag
from cone_detector.replay.calibration_file import CalibrationFileError, read_calibration, rectified_rig
from cone_detector.replay.stream import Parcels, info_messages, make_parcel, stamp_message

ZED = {
    "/zed/left/image_rect_color": IMAGE,
    "/zed/right/image_rect_color": IMAGE,
    "/zed/left_raw/image_raw_color": IMAGE,
    "/zed/right_raw/image_raw_color": IMAGE,
    "/zed/left/image_rect_gray": IMAGE,
    "/zed/right/image_rect_gray": IMAGE,
    "/zed/left/image_rect_color/compressed": COMPRESSED,
    "/zed/right/image_rect_color/compressed": COMPRESSED,
    "/zed/depth/depth_left": IMAGE,
    "/zed/depth/depth_right": IMAGE,
    "/zed/left/camera_info": INFO,
    "/zed/right/camera_info": INFO,
    "/zed/left_raw/camera_info": INFO,
    "/imu": "sensor_msgs/msg/Imu",
}


def pair(number, size=(64, 36)):
    left = np.full((size[1], size[0], 3), number, np.uint8)
    left[:, : size[0] // 2] = (10, 20, 200)
    return left, left[:, ::-1].copy()


def make(path, count=3, **options):
    options = {"rate_hz": 10.0, **options}
    write_bag(path, (pair(n) for n in range(count)), **options)
    return path


def side_by_side_bag(path, width=128, height=36, topic="/stereo/image_raw"):
    """A recording of one wide image topic, in an encoding that is not BGR."""
    header = TYPESTORE.types["std_msgs/msg/Header"](
        stamp=TYPESTORE.types["builtin_interfaces/msg/Time"](sec=5, nanosec=6), frame_id="zed"
    )
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 250
    message = raw_image(header, pixels)
    message.encoding = "rgb8"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, IMAGE, typestore=TYPESTORE)
        writer.write(connection, 5, TYPESTORE.serialize_cdr(message, IMAGE))
    return path


class TestTopics:
    def test_rectified_colour_wins_with_its_own_camera_info(self):
        found = choose_topics(ZED)
        assert found.images == ("/zed/left/image_rect_color", "/zed/right/image_rect_color")
        assert found.infos == ("/zed/left/camera_info", "/zed/right/camera_info")

    def test_compressed_serves_where_there_is_nothing_else(self):
        only = {name: kind for name, kind in ZED.items() if kind != IMAGE}
        assert choose_topics(only).left == "/zed/left/image_rect_color/compressed"
        assert choose_topics(only).left_info == "/zed/left/camera_info"

    def test_named_topics_are_taken(self):
        wanted = StereoTopics("/zed/left/image_rect_gray", "/zed/right/image_rect_gray")
        assert choose_topics(ZED, wanted).images == ("/zed/left/image_rect_gray", "/zed/right/image_rect_gray")

    @pytest.mark.parametrize("name", ["/camera/image", "/stereo/image"])
    def test_a_single_image_topic_is_side_by_side(self, name):
        assert choose_topics({name: IMAGE, "/x": "std_msgs/msg/String"}).side_by_side == name

    @pytest.mark.parametrize(
        ("types", "wanted", "message"),
        [
            ({"/imu": "sensor_msgs/msg/Imu"}, None, r"no image topic.*/imu \(sensor_msgs/msg/Imu\)"),
            ({}, None, "no topic at all"),
            ({"/a": IMAGE, "/b": IMAGE}, None, r"no left and right.*/a.*name them"),
            (ZED, StereoTopics("/zed/left/no", "/zed/right/no"), "no image topic /zed/left/no"),
            (ZED, StereoTopics("/imu", "/imu"), "no image topic /imu"),
            (ZED, StereoTopics("/zed/left/image_rect_gray"), "name both"),
        ],
        ids=["no images", "empty", "unknown names", "misspelt", "of another type", "half named"],
    )
    def test_a_bag_that_cannot_serve_is_an_error_that_lists_what_there_is(self, types, wanted, message):
        with pytest.raises(BagError, match=message):
            choose_topics(types, wanted)


class TestRoundTrip:
    @pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
    @pytest.mark.parametrize("quality", [None, 95], ids=["raw", "jpeg"])
    @pytest.mark.parametrize("compress", [False, True], ids=["plain", "zstd"])
    def test_pairs_come_back_in_order_with_stamps_and_calibration(self, tmp_path, storage, quality, compress):
        cameras = rectified_rig(64, 36, 35, 35, 32, 18, 0.12)
        path = make(tmp_path / "bag", storage=storage, jpeg_quality=quality, compress=compress, cameras=cameras)
        with StereoBag(path) as bag:
            pairs = list(bag.pairs())
            left_info, right_info = bag.infos()
            assert bag.rate_hz() == pytest.approx(10)
        assert len(pairs) == 3
        for n, found in enumerate(pairs):
            assert found.left.stamp_ns == found.right.stamp_ns == 1_700_000_000 * 10**9 + n * 10**8
            for frame, painted in zip(found.frames(), pair(n), strict=True):
                assert np.abs(frame.bgr().astype(int) - painted).mean() < (0.01 if quality is None else 8)
        assert left_info.p[3] == 0
        assert right_info.p[3] == pytest.approx(-35 * 0.12)

    def test_a_single_file_is_a_bag_too(self, tmp_path):
        path = make(tmp_path / "bag")
        with StereoBag(path / "bag.mcap") as bag:
            assert len(list(bag.pairs())) == 3

    def test_a_side_by_side_recording_gives_both_halves(self, tmp_path):
        with StereoBag(side_by_side_bag(tmp_path / "bag")) as bag:
            (found,) = bag.pairs()
        left, right = found.frames()
        assert left.size == right.size == (64, 36)
        assert (left.bgr() == (0, 0, 250)).all()
        assert (right.bgr() == 0).all()

    def test_a_bag_without_calibration_says_so(self, tmp_path):
        with StereoBag(make(tmp_path / "bag")) as bag:
            assert bag.infos() == (None, None)
            assert bag.topics.infos == ("", "")

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda path: path / "missing", "no such bag"),
            (lambda path: (path / "bag.mcap").write_bytes(b"nonsense") and path, "can be read"),
            (lambda path: (path / "metadata.yaml").unlink() or path, "has no metadata.yaml.*reindex"),
        ],
        ids=["missing", "damaged", "no metadata"],
    )
    def test_what_is_no_bag_is_an_error_that_names_it(self, tmp_path, spoil, message):
        path = spoil(make(tmp_path / "bag"))
        with pytest.raises(BagError, match=message), StereoBag(path) as bag:
            list(bag.pairs())

    def test_stamps_that_never_meet_are_an_error_that_says_how_near_they_came(self, tmp_path):
        path = make(tmp_path / "bag", count=2)
        with StereoBag(path) as bag:
            images = list(bag.images())
        late = [image for image in images if image.sides == (1,)]
        with Writer(tmp_path / "skewed", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            sides = [writer.add_connection(f"/{side}/image", IMAGE, typestore=TYPESTORE) for side in ("left", "right")]
            for image in images:
                raw = bytearray(image.raw)
                if image in late:
                    stamp_message(raw, image.stamp_ns + 30_000_000)
                writer.write(sides[image.sides[0]], image.log_ns, bytes(raw))
        with StereoBag(tmp_path / "skewed") as bag, pytest.raises(BagError, match=r"within 5 ms.*nearest: 30\.0 ms"):
            list(bag.pairs())


class TestWriting:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rate_hz": 0.0}, "rate is 0"),
            ({"cameras": rectified_rig(1280, 720, 700, 700, 640, 360, 0.12)}, "calibration is for 1280x720.*64x36"),
            ({"count": 0}, "no image pairs"),
        ],
        ids=["rate", "calibration of another size", "nothing"],
    )
    def test_what_cannot_be_written_is_an_error_and_leaves_no_folder(self, tmp_path, options, message):
        with pytest.raises(BagError, match=message):
            make(tmp_path / "bag", **options)
        assert not (tmp_path / "bag").exists()

    def test_a_bag_is_never_overwritten(self, tmp_path):
        make(tmp_path / "bag")
        with pytest.raises(BagError, match="exists"):
            make(tmp_path / "bag")
        with StereoBag(tmp_path / "bag") as bag:
            assert len(list(bag.pairs())) == 3


class TestStream:
    @pytest.mark.parametrize("quality", [None, 95], ids=["raw", "jpeg"])
    def test_parcels_are_raw_images_that_take_a_stamp(self, tmp_path, quality):
        with StereoBag(make(tmp_path / "bag", jpeg_quality=quality)) as bag:
            parcel = make_parcel(next(iter(bag.pairs())))
        for cdr in parcel.images:
            stamp_message(cdr, 12 * 10**9 + 345)
            message = TYPESTORE.deserialize_cdr(bytes(cdr), IMAGE)
            assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345)
            assert (message.encoding, message.width, message.height, message.step) == ("bgr8", 64, 36, 192)

    def test_compressed_images_can_stay_as_they_were_recorded(self, tmp_path):
        with StereoBag(make(tmp_path / "bag", jpeg_quality=95)) as bag:
            pair = next(iter(bag.pairs()))
            parcel = make_parcel(pair, compressed=True)
        stamp_message(parcel.images[0], 12 * 10**9 + 345)
        message = TYPESTORE.deserialize_cdr(bytes(parcel.images[0]), COMPRESSED)
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345)
        assert bytes(message.data) == bytes(pair.left.message.data)
        assert bytes(parcel.images[1][12:]) == pair.right.raw[12:]

    def test_raw_and_side_by_side_images_cannot_be_played_as_compressed_ones(self, tmp_path):
        for path in (make(tmp_path / "raw"), side_by_side_bag(tmp_path / "one")):
            with StereoBag(path) as bag, pytest.raises(BagError, match="without --compressed"):
                make_parcel(next(iter(bag.pairs())), compressed=True)

    def test_halves_of_a_side_by_side_image_become_two(self, tmp_path):
        with StereoBag(side_by_side_bag(tmp_path / "bag")) as bag:
            parcel = make_parcel(next(iter(bag.pairs())))
        left, right = (TYPESTORE.deserialize_cdr(bytes(cdr), IMAGE) for cdr in parcel.images)
        assert left.width == right.width == 64
        assert left.data.reshape(36, 64, 3)[0, 0].tolist() == [0, 0, 250]

    @pytest.mark.parametrize("memory", [1 << 30, 1], ids=["in memory", "decoded ahead"])
    def test_a_bag_is_played_whole_and_again(self, tmp_path, memory):
        with StereoBag(make(tmp_path / "bag", count=12)) as bag:
            parcels = Parcels(bag, memory)
            assert parcels.count() == 12
            endless = parcels.forever()
            twice = [bytes(next(endless).images[0][-3:]) for _ in range(24)]
        assert twice == [bytes((n, n, n)) for n in range(12)] * 2

    def test_calibration_is_ready_to_send(self, tmp_path):
        cameras = rectified_rig(64, 36, 35, 35, 32, 18, 0.12)
        with StereoBag(make(tmp_path / "bag", cameras=cameras)) as bag:
            left, right = info_messages(bag)
        stamp_message(right, 10**9)
        message = TYPESTORE.deserialize_cdr(bytes(right), INFO)
        assert (message.header.stamp.sec, message.p[3]) == (1, pytest.approx(-4.2))
        assert left is not None


class TestCalibrationFile:
    def test_json_of_a_rectified_rig(self, tmp_path):
        file = tmp_path / "rig.json"
        file.write_text(
            json.dumps({"width": 1280, "height": 720, "fx": 700, "fy": 701, "cx": 640, "cy": 360, "baseline": 0.12})
        )
        left, right = read_calibration([file])
        assert left.size == (1280, 720)
        assert right.P[3] == pytest.approx(-84)
        assert left.P[5] == 701

    def test_two_yaml_files_of_ros(self, tmp_path):
        text = """
image_width: 640
image_height: 360
distortion_model: plumb_bob
camera_matrix: {rows: 3, cols: 3, data: [350, 0, 320, 0, 350, 180, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.02, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [350, 0, 320, TX, 0, 350, 180, 0, 0, 0, 1, 0]}
"""
        files = [tmp_path / "left.yaml", tmp_path / "right.yaml"]
        for file, tx in zip(files, ("0", "-42"), strict=True):
            file.write_text(text.replace("TX", tx))
        left, right = read_calibration(files)
        assert left.D == (-0.1, 0.02, 0, 0, 0)
        assert right.P[3] == -42

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "cannot be read"),
            ("[]", "no table"),
            ('{"width": 1280}', "no number for height, fx"),
            ('{"width": 1, "height": 1, "fx": 1, "fy": 1, "cx": 0, "cy": 0, "baseline": -0.1}', "baseline is -0.1"),
        ],
    )
    def test_a_wrong_file_is_an_error_that_names_the_field(self, tmp_path, text, message):
        file = tmp_path / "rig.json"
        file.write_text(text)
        with pytest.raises(CalibrationFileError, match=message):
            read_calibration([file])


class TestCommand:
    @pytest.fixture
    def folders(self, tmp_path):
        for n in range(3):
            for side, pixels in zip(("left", "right"), pair(n), strict=True):
                (tmp_path / side).mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / side / f"{n:03}.png"), pixels)
        return tmp_path

    def test_folders_make_a_bag_that_can_be_shown(self, folders, capsys):
        rig = ["--fx", "35", "--fy", "35", "--cx", "32", "--cy", "18", "--baseline", "0.12", "--image-size", "64", "36"]
        arguments = ["folders", str(folders / "left"), str(folders / "right"), "-o", str(folders / "bag")]
        assert bag_cli.main([*arguments, "--rate", "15", *rig]) == 0
        assert bag_cli.main(["show", str(folders / "bag")]) == 0
        shown = capsys.readouterr().out
        assert "3 at 15.0 Hz, 64x36 and 64x36" in shown
        assert "/left/camera_info" in shown

    def test_a_side_by_side_video_makes_a_bag_at_its_rate(self, tmp_path):
        video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (128, 36))
        for n in range(4):
            video.write(np.hstack(pair(n * 40)))
        video.release()
        assert bag_cli.main(["video", str(tmp_path / "v.avi"), "-o", str(tmp_path / "bag"), "--raw"]) == 0
        with StereoBag(tmp_path / "bag") as bag:
            pairs = list(bag.pairs())
            assert bag.rate_hz() == pytest.approx(25)
        assert len(pairs) == 4
        left, right = (frame.bgr() for frame in pairs[0].frames())
        assert np.abs(left.astype(int) - right[:, ::-1]).mean() < 10

    def test_image_pairs_make_a_bag_in_the_order_given(self, folders):
        files = [str(folders / side / f"{n:03}.png") for n in (2, 0) for side in ("left", "right")]
        assert bag_cli.main(["pairs", *files, "-o", str(folders / "bag"), "--raw", "--size", "32", "18"]) == 0
        with StereoBag(folders / "bag") as bag:
            frames = [pair.frames()[0] for pair in bag.pairs()]
        assert [frame.pixels[0, -1, 0] for frame in frames] == [2, 0]
        assert frames[0].size == (32, 18)

    @pytest.mark.parametrize(
        ("spoil", "arguments", "message"),
        [
            (lambda f: (f / "left" / "000.png").unlink(), [], "no partner.*000"),
            (lambda f: (f / "left" / "000.png").write_text("x"), [], "000.png is no image"),
            (lambda f: None, ["--fx", "3"], "go together"),
        ],
        ids=["alone", "not an image", "half a calibration"],
    )
    def test_a_fault_is_one_line_and_exit_code_1(self, folders, capsys, spoil, arguments, message):
        spoil(folders)
        command = ["folders", str(folders / "left"), str(folders / "right"), "-o", str(folders / "bag"), *arguments]
        assert bag_cli.main(command) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert re.search(message, error)
