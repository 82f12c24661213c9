# SPDX-License-Identifier: AGPL-3.0-only
"""The ONNX answers as ultralytics' own predict does, for each family, at each resolution."""

import numpy as np
import pytest
from pictures import picture

from cone_detector.classes import CLASS_NAMES
from cone_detector.detector import StereoDetector
from cone_detector.engine.manifest import read_manifest
from cone_detector.frames import Frame
from cone_detector.settings import Settings

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
ultralytics = pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from offline_tools.export import ExportError, canvas_for, export  # noqa: E402
from offline_tools.onnx_engine import open_engine  # noqa: E402

FAMILIES = ("yolo11n", "yolo12n", "yolo26n")
SCORE = 0.3


def save_weights(path, family, names=CLASS_NAMES):
    """Weights that see much: random ones, with the classes' last biases raised and their weights spread."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(3)
    model = DetectionModel(f"{family}.yaml", nc=len(names), verbose=False)
    head = model.model[-1]
    for branch in (head.cv3, getattr(head, "one2one_cv3", None)):
        for level in branch or ():
            torch.nn.init.normal_(level[-1].weight, std=0.4)
            torch.nn.init.constant_(level[-1].bias, -8.0)
    # Batch norm statistics of real use, so that features differ from place to place.
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    for seed in range(4):
        image = torch.from_numpy(picture(seed, (640, 384))).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            model(image)
    model.names = dict(enumerate(names))
    torch.save({"model": model.half(), "train_args": {}}, path)
    return path


@pytest.fixture(scope="module", params=FAMILIES)
def weights(request, tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp(request.param) / "random.pt", request.param)


def test_rows_are_those_of_ultralytics(weights, tmp_path):
    # Suppression is off on both sides: among the crowded boxes of a random network, rounding decides who survives.
    manifest = export(weights, tmp_path, "net", "640", half_storage=False)
    settings = {"confidence": SCORE, "nms_iou": 1.0, "nms_iou_across_classes": 1.0}
    settings |= {"policy.name": "fixed_640", "stereo.enabled": False}
    detector = StereoDetector(open_engine(manifest), Settings(settings))
    model = ultralytics.YOLO(weights)
    images = [picture(10, (1280, 720)), picture(11, (1280, 720))]
    found = detector.detect(*map(Frame, images)).detections
    boxes_seen = 0
    for image, ours in zip(images, found, strict=True):
        theirs = model.predict(image, imgsz=(384, 640), conf=SCORE, iou=1.0, device="cpu", verbose=False)[0].boxes
        for xyxy, score, label in zip(theirs.xyxy.numpy(), theirs.conf.numpy(), theirs.cls.numpy(), strict=True):
            gap = np.abs(ours.xyxy - xyxy).max(axis=1) + 1e3 * (ours.label != label)
            best = int(gap.argmin())
            assert gap[best] < 1.0
            assert ours.score[best] == pytest.approx(score, abs=0.01)
        if read_manifest(manifest).nms:
            assert len(ours) == len(theirs)
        boxes_seen += len(theirs)
    assert boxes_seen >= 10, "the random network must see something for this test to mean anything"


def test_the_low_resolution_answers_in_canvas_pixels(weights, tmp_path):
    manifest = read_manifest(export(weights, tmp_path, "net", "320"))
    engine = open_engine(tmp_path / "net-320.json")
    assert (manifest.canvas, manifest.network) == ((640, 384), (320, 192))
    for side in (0, 1):
        engine.slots[0][side] = picture(side, (640, 384))
    rows = engine.infer("320", 0)
    centres = (rows[:, :, :2] + rows[:, :, 2:4]) / 2
    assert centres[..., 0].max() > 400, "boxes of the right half must not end at 320"
    assert (np.diff(rows[:, :, 4], axis=1) <= 1e-6).all(), "rows are sorted by score"


@pytest.mark.parametrize(
    ("camera", "canvas"),
    [((1280, 720), (640, 384)), ((672, 376), (640, 384)), ((1920, 1200), (640, 448)), ((640, 480), (640, 512))],
)
def test_the_canvas_follows_the_camera(camera, canvas):
    assert canvas_for(camera) == canvas


def test_weights_of_other_classes_are_refused(tmp_path):
    path = save_weights(tmp_path / "other.pt", "yolo11n", names=("cat", "dog"))
    with pytest.raises(ExportError, match=r"trained for classes \['cat', 'dog'\]"):
        export(path, tmp_path, "net", "640")


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ExportError, match=r"no weights at .*none\.pt"):
        export(tmp_path / "none.pt", tmp_path, "net", "640")
