# SPDX-License-Identifier: AGPL-3.0-only
"""Blocks are split without a change of output, and the channels cut are those of the smallest gammas."""

import pytest

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
pytest.importorskip("torch_pruning", reason="torch-pruning is not installed: config/requirements/offline.txt")

from ultralytics import YOLO  # noqa: E402
from ultralytics.nn.modules.block import C2PSA, Attention, C2f  # noqa: E402

from offline_tools import networks  # noqa: E402
from offline_tools.export import export  # noqa: E402
from offline_tools.onnx_engine import open_engine  # noqa: E402
from offline_tools.prune import prune, write_start  # noqa: E402
from offline_tools.split_blocks import is_pruned, split  # noqa: E402
from offline_tools.technique import Prune, TechniqueError  # noqa: E402
from offline_tools.trainer import ConeTrainer  # noqa: E402


def lively(family):
    """An untrained network whose batch norms are not all alike, so that mixed-up channels show."""
    model = networks.build(f"{family}.yaml", 0)
    draw = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            shape = module.weight.shape
            module.weight.data = torch.rand(shape, generator=draw) + 0.5
            module.bias.data = torch.randn(shape, generator=draw) * 0.1
            module.running_mean = torch.randn(shape, generator=draw) * 0.1
            module.running_var = torch.rand(shape, generator=draw) + 0.5
    return model


@pytest.mark.parametrize("family", ["yolo11n", "yolo12n", "yolo26n"])
def test_split_blocks_compute_the_same(family):
    model = lively(family).eval()
    frame = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model(frame)[1]
        split(model.model)
        after = model(frame)[1]
    before, after = (found.get("one2many", found) for found in (before, after))
    assert not [module for module in model.modules() if type(module) in (C2f, C2PSA) or isinstance(module, C2f)]
    for key in ("scores", "boxes"):
        torch.testing.assert_close(after[key], before[key], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prune")
    networks.save(lively("yolo11n"), folder / "trained.pt")
    notes = write_start(Prune(str(folder / "trained.pt"), 0.4, 8), folder / "start.pt")
    return folder / "start.pt", notes


def test_less_is_left_and_widths_stay_aligned(pruned):
    path, notes = pruned
    before, after = notes["before"], notes["after"]
    assert after["params"] < 0.5 * before["params"]
    assert after["gflops"] < 0.5 * before["gflops"]
    model = YOLO(path).model
    kept = [module for part in model.modules() if isinstance(part, Attention) for module in part.modules()]
    outputs = [level[-1] for branch in (model.model[-1].cv2, model.model[-1].cv3) for level in branch]
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module not in kept and module not in outputs:
            assert module.out_channels % 8 == 0 or module is model.model[-1].dfl.conv
    assert [module.out_channels for module in outputs] == [64, 64, 64, 5, 5, 5]
    assert [part.qkv.conv.out_channels for part in model.modules() if isinstance(part, Attention)] == [256]


def test_the_smallest_gammas_go():
    model = lively("yolo11n")
    # Of the convolution between strides 2 and 4 nothing but the next block depends.
    norm = model.model[1].bn
    wanted = torch.zeros(32, dtype=torch.bool)
    wanted[torch.arange(0, 32, 2)] = True
    norm.weight.data = torch.where(wanted, norm.weight.data + 1, norm.weight.data * 1e-3)
    survivors = norm.weight.data[wanted]
    prune(model, Prune("", 0.5, 8))
    torch.testing.assert_close(model.model[1].bn.weight.data, survivors)


def test_training_keeps_the_pruned_network(pruned):
    path, _ = pruned
    model = YOLO(path).model
    assert is_pruned(model)
    trainer = ConeTrainer.__new__(ConeTrainer)
    kept = trainer.get_model(cfg=model.yaml, weights=model)
    assert kept is model
    assert all(parameter.requires_grad for parameter in kept.parameters())


def test_a_pruned_network_is_exported(pruned, tmp_path):
    engine = open_engine(export(pruned[0], tmp_path, "pruned", "640"))
    assert engine.infer("640", 0).shape == (2, 300, 6)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(TechniqueError, match="no trained weights to prune at"):
        write_start(Prune(str(tmp_path / "none.pt")), tmp_path / "start.pt")
