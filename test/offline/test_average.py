# SPDX-License-Identifier: AGPL-3.0-only
"""Averaged weights are the mean of what was given, and only of trainings that belong together."""

import pytest

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from ultralytics import YOLO  # noqa: E402

from offline_tools import networks  # noqa: E402
from offline_tools.average import average  # noqa: E402
from offline_tools.technique import TechniqueError  # noqa: E402


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two trainings of one network, as far as files go: batch norms and counters differ, too."""
    folder = tmp_path_factory.mktemp("average")
    for seed, name in enumerate(("a", "b")):
        model = networks.build("yolo11n.yaml", seed)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean += seed + 1
                module.num_batches_tracked += 3 * seed
        networks.save(model, folder / f"{name}.pt")
    return folder


@pytest.mark.parametrize(("names", "share_of_b"), [("ab", 1 / 2), ("ba", 1 / 2), ("aab", 1 / 3)])
def test_weights_and_statistics_are_the_mean_of_the_files(trained, tmp_path, names, share_of_b):
    average([trained / f"{name}.pt" for name in names], tmp_path / "mean.pt")
    a, b, mean = (YOLO(path).model.state_dict() for path in (trained / "a.pt", trained / "b.pt", tmp_path / "mean.pt"))
    floats = [name for name, value in a.items() if value.is_floating_point()]
    assert any("running_mean" in name for name in floats)
    for name in floats:
        expected = a[name] * (1 - share_of_b) + b[name] * share_of_b
        torch.testing.assert_close(mean[name].float(), expected, rtol=1e-3, atol=1e-3)
    assert str(trained).encode() not in (tmp_path / "mean.pt").read_bytes(), "paths of this machine travel along"
    assert all(mean[name].dtype == value.dtype for name, value in a.items() if not value.is_floating_point())


def test_only_trainings_of_one_network_are_averaged(trained, tmp_path):
    networks.save(networks.build("yolo12n.yaml", 0), tmp_path / "other.pt")
    with pytest.raises(TechniqueError, match=r"other\.pt is another network than .*a\.pt"):
        average([trained / "a.pt", tmp_path / "other.pt"], tmp_path / "mean.pt")
    with pytest.raises(TechniqueError, match="needs two or more"):
        average([trained / "a.pt"] * 2, tmp_path / "mean.pt")
    with pytest.raises(TechniqueError, match=r"no weights to average at .*missing\.pt"):
        average([trained / "a.pt", tmp_path / "missing.pt"], tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()
