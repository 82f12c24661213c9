# SPDX-License-Identifier: AGPL-3.0-only
"""The distillation loss is what it says, and only the student and the projections learn."""

import copy

import pytest

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.utils.torch_utils import ModelEMA  # noqa: E402

from cone_detector.classes import CLASS_NAMES  # noqa: E402
from offline_tools import networks  # noqa: E402
from offline_tools.distill import ConeDistillation, DistillTrainer, feature_error, logit_divergence, write_start  # noqa: E402
from offline_tools.technique import Distill, TechniqueError  # noqa: E402

SIDE = 64


def logits(seed, classes=5, anchors=7):
    return torch.randn(2, classes, anchors, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_is_that_of_one_coin_a_class(temperature):
    student, teacher, weight = logits(0), logits(1), logits(2).sigmoid().amax(1)
    coins = [torch.distributions.Bernoulli(logits=values / temperature) for values in (teacher, student)]
    each = torch.distributions.kl_divergence(*coins).sum(1)
    expected = temperature**2 * (each * weight).sum() / weight.sum()
    assert logit_divergence(student, teacher, temperature, weight).item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_student_that_agrees_has_nothing_to_learn():
    teacher, weight = logits(0), torch.ones(2, 7)
    student = teacher.clone().requires_grad_()
    loss = logit_divergence(student, teacher, 4.0, weight)
    loss.backward()
    assert abs(loss.item()) < 1e-5
    assert student.grad.abs().max() < 1e-6


def test_gradients_keep_their_size_at_a_high_temperature():
    teacher, weight = logits(0), torch.ones(2, 7)
    sizes = []
    for temperature in (10.0, 40.0):
        student = logits(1).requires_grad_()
        logit_divergence(student, teacher, temperature, weight).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_anchors_that_the_teacher_ignores_do_not_count():
    student, teacher = logits(0), logits(1)
    weight = torch.zeros(2, 7)
    weight[:, 3] = 0.8
    other = student.clone()
    other[:, :, :3] += 5
    same = logit_divergence(student, teacher, 2.0, weight), logit_divergence(other, teacher, 2.0, weight)
    assert same[0].item() == same[1].item() > 0


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (30.0, 4.0)])
def test_feature_error_does_not_depend_on_the_teachers_scale(scale, shift):
    draw = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(2, 8, 3, 4, generator=draw) for _ in range(2))
    weight = torch.rand(2, 12, generator=draw)
    plain = feature_error(student, teacher, weight)
    scaled = feature_error(student * scale + shift, teacher * scale + shift, weight)
    assert scaled.item() == pytest.approx(plain.item(), rel=1e-4)


def test_the_teachers_mean_alone_explains_nothing():
    teacher = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))
    mean = teacher.mean(dim=(0, 2, 3), keepdim=True).expand_as(teacher)
    weight = torch.ones(2, 12)
    assert feature_error(mean, teacher, weight).item() == pytest.approx(1.0, rel=1e-4)
    assert feature_error(teacher, teacher, weight).item() == 0.0


@pytest.fixture(scope="module")
def teacher_path(tmp_path_factory):
    """A teacher that sees things: random weights, class biases raised."""
    model = networks.build("yolo11s.yaml", 1)
    for level in model.model[-1].cv3:
        torch.nn.init.constant_(level[-1].bias, -1.0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    networks.save(model, path)
    return path


@pytest.fixture
def pair(teacher_path, tmp_path):
    write_start(Distill(str(teacher_path), 0.5, 0.3, 0.2, 3.0), "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    student = networks.load(tmp_path / "start.pt", "student")
    student.args = get_cfg(overrides={"imgsz": SIDE})
    return ConeDistillation(str(teacher_path), student).train()


def batch():
    draw = torch.Generator().manual_seed(5)
    return {
        "img": torch.rand(2, 3, SIDE, SIDE, generator=draw),
        "cls": torch.tensor([[0.0], [4.0], [2.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.3, 0.4], [0.2, 0.6, 0.2, 0.3], [0.7, 0.4, 0.4, 0.5]]),
        "batch_idx": torch.tensor([0.0, 0.0, 1.0]),
    }


def test_the_total_is_the_weighted_sum_of_what_is_logged(pair):
    total, items = pair(batch())
    images = 2
    assert list(items) == ["box_loss", "cls_loss", "dfl_loss", "kl_loss", "feature_loss"]
    parts = torch.stack(list(items.values())) * torch.tensor([0.5, 0.5, 0.5, 0.3, 0.2]) * images
    torch.testing.assert_close(total.detach(), parts, rtol=1e-4, atol=1e-5)
    assert items["kl_loss"] > 0
    assert items["feature_loss"] > 0


def test_on_val_the_teacher_is_silent(pair):
    ema = ModelEMA(pair).ema
    assert ema.teacher_model is None, "the running average holds no copy of the teacher"
    total, items = ema(batch())
    assert items["kl_loss"] == items["feature_loss"] == total[3] == total[4] == 0
    assert items["cls_loss"] > 0


def test_a_step_moves_student_and_projections_but_not_the_teacher(pair):
    optimizer = DistillTrainer.build_optimizer(None, pair, "AdamW", lr=0.01)
    before = copy.deepcopy(pair.state_dict())
    assert not pair.teacher_model.training
    assert not any(parameter.requires_grad for parameter in pair.teacher_model.parameters())
    pair(batch())[0].sum().backward()
    optimizer.step()
    moved = {name for name, value in pair.state_dict().items() if not torch.equal(value, before[name])}
    assert not {name for name in moved if name.startswith("teacher_model.")}
    assert {name for name in before if name.startswith("projector.")} <= moved
    neck = {name for name in before if name.startswith("student_model.model.16.") and name.endswith("conv.weight")}
    assert neck
    assert neck <= moved


def test_half_precision_loses_nothing(pair):
    """Automatic mixed precision: the same losses to a few percent, all finite, gradients too."""
    full = pair(batch())[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = pair(batch())[0]
    torch.testing.assert_close(half.detach().float(), full.detach(), rtol=0.1, atol=0.05)
    half.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in pair.projector.parameters())


def test_a_teacher_of_other_classes_is_refused(tmp_path):
    model = networks.build("yolo11n.yaml", 1)
    model.names = dict(enumerate(reversed(CLASS_NAMES)))
    networks.save(model, tmp_path / "other.pt")
    with pytest.raises(TechniqueError, match=r"teacher .*other\.pt knows the classes"):
        write_start(Distill(str(tmp_path / "other.pt")), "yolo11n.yaml", tmp_path / "start.pt", 0)
    with pytest.raises(TechniqueError, match="no teacher at"):
        write_start(Distill(str(tmp_path / "none.pt")), "yolo11n.yaml", tmp_path / "start.pt", 0)
