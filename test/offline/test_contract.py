# SPDX-License-Identifier: AGPL-3.0-only
"""What a pass sees is told apart from what its network computes: halved, magnified, or as it is."""

import copy

import pytest

pytestmark = pytest.mark.offline

torch = pytest.importorskip("torch", reason="torch is not installed: config/requirements/offline.txt")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")

from offline_tools import contract  # noqa: E402
from offline_tools.export import VIEWS, canvas_for, load_network  # noqa: E402

CANVAS = (384, 256)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return load_network("yolo11n.yaml")


@pytest.fixture(scope="module")
def frames():
    return torch.randint(0, 256, (2, CANVAS[1], CANVAS[0], 3), dtype=torch.uint8)


def rows(network, size, frames, **view):
    made = contract.ContractNetwork(copy.deepcopy(network), size, **view).eval()
    with torch.inference_mode():
        return made, made(frames)


def test_the_first_convolution_averages_as_a_pooling_would(network, frames, monkeypatch):
    folded, found = rows(network, CANVAS, frames, halve=True)
    assert not folded.average
    monkeypatch.setattr(contract, "_halve_first_convolution", lambda model: False)
    pooled, expected = rows(network, CANVAS, frames, halve=True)
    assert pooled.average
    torch.testing.assert_close(found[..., 4], expected[..., 4], rtol=1e-4, atol=1e-6)


def test_rows_of_a_magnified_strip_are_in_canvas_pixels(network, frames):
    _, plain = rows(network, CANVAS, frames, halve=False)
    _, magnified = rows(network, CANVAS, frames, halve=False, magnified=1.6)
    torch.testing.assert_close(magnified[..., :4], plain[..., :4] / 1.6)
    torch.testing.assert_close(magnified[..., 4:], plain[..., 4:])


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_every_view_fits_the_networks_strides(view):
    canvas = canvas_for((1280, 720))
    scale = (0.5 if view.halve else 1.0) * view.magnified
    height = (view.strip or canvas[1]) * scale
    assert canvas[0] * scale % 32 == 0
    assert height % 32 == 0
