# SPDX-License-Identifier: AGPL-3.0-only
"""RegNets stand under YOLO11's neck with the strides and widths that the paper and the libraries give them."""

import json
import math

import pytest
import yaml

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from ultralytics import YOLO  # noqa: E402

from offline_tools import backbones, networks  # noqa: E402
from offline_tools.backbones import detector_yaml, stages, write_start  # noqa: E402
from offline_tools.cli import main  # noqa: E402
from offline_tools.export import export  # noqa: E402
from offline_tools.onnx_engine import open_engine  # noqa: E402
from offline_tools.regnet_search import Budget, Candidate, draw, rank  # noqa: E402
from offline_tools.technique import Backbone, TechniqueError, read_technique  # noqa: E402
from offline_tools.trainer import ConeTrainer  # noqa: E402

REGNET = Backbone("regnet", depth=13, w_0=24, w_a=24.0, w_m=2.5, group=8)


def of_library(library):
    if library == "timm":
        pytest.importorskip("timm", reason="timm is not installed: config/requirements/offline.txt")
    return Backbone("regnet_y_400mf", library, pretrained=False)


@pytest.mark.parametrize("backbone", ["torchvision", "timm", "regnet"])
def test_the_neck_is_given_strides_8_16_and_32(backbone, tmp_path):
    technique = REGNET if backbone == "regnet" else of_library(backbone)
    notes = write_start(technique, "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    model = YOLO(tmp_path / "start.pt").model.eval()
    assert model.stride.tolist() == [8, 16, 32]
    seen = []
    for level in (1, 2, 3):
        model.model[level].register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 128))
    widths = notes["widths"][1:] if backbone == "regnet" else [104, 208, 440]
    assert seen == [(width, 64 // stride, 128 // stride) for width, stride in zip(widths, (8, 16, 32), strict=True)]
    assert notes["params"] == networks.size(model)["params"]


@pytest.mark.parametrize(
    ("depth", "w_0", "w_a", "group"),
    [(13, 24, 24.0, 8), (16, 32, 30.5, 16), (20, 16, 10.0, 8)],
)
def test_widths_follow_the_papers_formula(depth, w_0, w_a, group):
    found = stages(Backbone("regnet", depth=depth, w_0=w_0, w_a=w_a, w_m=2.5, group=group))
    blocks = []
    for j in range(depth):
        step = round(math.log((w_0 + w_a * j) / w_0) / math.log(2.5))
        blocks.append(8 * round(w_0 * 2.5**step / 8))
    # Then widths are made multiples of the group, halves up.
    expected = sorted({(width + group // 2) // group * group for width in blocks})
    assert found.widths == expected
    assert sum(found.depths) == depth
    assert set(found.bottleneck_multipliers) == {1.0}


def test_a_network_without_four_stages_is_refused():
    with pytest.raises(TechniqueError, match=r"give 2 stages .*, must be 4"):
        stages(Backbone("regnet", depth=6, w_0=48, w_a=8.0))


@pytest.mark.parametrize("model", ["yolo12n.yaml", "runs/yolo11n.pt"])
def test_another_neck_is_refused(model):
    with pytest.raises(TechniqueError, match="use yolo11n"):
        detector_yaml(REGNET, model)


def test_a_checkpoint_needs_nothing_of_this_project(tmp_path):
    write_start(REGNET, "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    needed = torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "start.pt")
    assert not [name for name in needed if name.startswith(("offline_tools", "cone_detector"))]
    assert [name for name in needed if name.startswith("torchvision.models.regnet")]


def test_training_rebuilds_the_network_and_takes_its_weights(tmp_path, monkeypatch):
    write_start(REGNET, "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    start = YOLO(tmp_path / "start.pt").model
    # As another process that never wrote these weights: another GPU's worker, or a resumed run.
    for name in [name for name in backbones.BUILTIN_MODELS if name.startswith("cone_")]:
        monkeypatch.delitem(backbones.BUILTIN_MODELS, name)
    trainer = ConeTrainer.__new__(ConeTrainer)
    trainer.data, trainer.args = {"nc": 5, "channels": 3, "names": start.names}, None
    model = trainer.get_model(cfg=start.yaml, weights=start, verbose=False)
    assert model is not start
    for name, value in start.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


def test_imagenets_weights_are_loaded_where_they_are_cached(tmp_path, monkeypatch):
    trained = torchvision.models.regnet_y_400mf()
    monkeypatch.setattr(
        torchvision.models._api, "load_state_dict_from_url", lambda *args, **kwargs: trained.state_dict()
    )
    notes = write_start(Backbone("regnet_y_400mf"), "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    assert notes["imagenet_weights"]
    layers = YOLO(tmp_path / "start.pt").model.model[0].m
    torch.testing.assert_close(layers[0].weight, trained.stem[0].weight)
    torch.testing.assert_close(layers[6].state_dict(), trained.trunk_output.block4.state_dict())


def test_without_a_network_random_weights_serve(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    notes = write_start(Backbone("regnet_y_400mf"), "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    assert notes["imagenet_weights"] is False


def test_a_regnet_is_exported_without_loose_batch_norms(tmp_path):
    import onnx

    write_start(REGNET, "yolo11n.yaml", tmp_path / "start.pt", seed=0)
    manifest = export(tmp_path / "start.pt", tmp_path, "regnet", "320")
    nodes = {node.op_type for node in onnx.load(manifest.with_suffix(".onnx")).graph.node}
    assert "BatchNormalization" not in nodes
    assert open_engine(manifest).infer("320", 0).shape == (2, 300, 6)


def test_the_search_keeps_its_budget_and_repeats_itself():
    budget = Budget(gflops=8.0, share=0.5)
    found = draw(budget, "yolo11n.yaml", 4, 3, lambda: None)
    assert found
    assert all(4.0 <= one.gflops <= 8.0 for one in found)
    assert len({(one.widths, one.depths, one.technique.group) for one in found}) == len(found)
    assert draw(budget, "yolo11n.yaml", 4, 3, lambda: None) == found


def test_the_command_prints_a_technique_to_paste(tmp_path, capsys):
    options = ["--gflops", "7", "--draws", "6", "--seed", "3", "--json", str(tmp_path / "found.json")]
    assert main(["regnet-search", *options]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("technique:")]
    technique = read_technique(yaml.safe_load(line)["technique"])
    best, *others = json.loads((tmp_path / "found.json").read_text())
    assert read_technique(best["technique"]) == technique
    assert all(best["params"] <= other["params"] for other in others)


def test_a_budget_that_nothing_keeps_says_so():
    with pytest.raises(TechniqueError, match="draw more, or change the budget"):
        draw(Budget(gflops=0.5), "yolo11n.yaml", 2, 0, lambda: None)


def test_candidates_are_ranked_by_what_was_measured():
    def candidate(params, gflops, latency, map50):
        return Candidate(REGNET, (), (), params, gflops, latency, map50)

    small, fast, good = candidate(1, 6.0, None, 0.3), candidate(3, 5.0, 7.0, None), candidate(2, 5.5, 9.0, 0.4)
    networks_of = [fast, small, good]
    assert rank(networks_of, "params") == [small, good, fast]
    assert rank(networks_of, "gflops") == [fast, good, small]
    assert rank(networks_of, "latency") == [fast, good, small]
    assert rank(networks_of, "map50") == [good, small, fast]
