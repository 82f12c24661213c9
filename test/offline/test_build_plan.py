# SPDX-License-Identifier: AGPL-3.0-only
"""Building plans with TensorRT-RTX, which needs no GPU to build for one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from networks import residual
from onnx import version_converter
from onnx.reference import ReferenceEvaluator
from small_network import network, save, unusable_network

from cone_detector.engine import trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import read_manifest
from offline_tools.build.half import to_half
from offline_tools.build.layers import count_types, from_build_log, from_inspector, precision_doubt
from offline_tools.build.plan import BuildError, _kept_timings, build_plan
from offline_tools.onnx_files import compact
from offline_tools.qdq import insert, place

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "engines").glob("*.onnx"))


@pytest.fixture(scope="module")
def rtx() -> trt_api.Api:
    return trt_api.load("tensorrt-rtx")


@pytest.mark.parametrize(("quantized", "expected"), [(False, {"FP16": 3}), (True, {"INT8": 2, "FP16": 1})])
def test_convolutions_compute_in_the_type_that_the_plan_is_for(
    rtx: trt_api.Api, tmp_path: Path, quantized: bool, expected: dict[str, int]
) -> None:
    path = save(tmp_path, quantized)
    plan = build_plan(rtx, path.with_suffix(".onnx"), "int8" if quantized else "fp16", compute_capability="8.9")
    assert len(plan.content) > 1000
    counts = count_types([layer for layer in plan.layers if layer.convolves])
    assert {name: count for name, count in counts.items() if count} == expected


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_networks_build_for_an_rtx_4060(rtx: trt_api.Api, file: Path) -> None:
    manifest = read_manifest(file.with_suffix(".json"))
    precision, name = ("int8", "INT8") if manifest.qdq else ("fp16", "FP16")
    plan = build_plan(rtx, file, precision, compute_capability="8.9")  # type: ignore[arg-type]
    counts = count_types([layer for layer in plan.layers if layer.convolves])
    assert counts[name] > 0.5 * sum(counts.values()), counts


def test_qdq_builds_around_sums_and_what_only_moves_data(rtx: trt_api.Api, tmp_path: Path) -> None:
    model = onnx.load(residual(tmp_path).with_suffix(".onnx"))
    placement = place(model, ["first", "enter", "leave", "mix", "narrow", "project", "deep"])
    path = tmp_path / "qdq.onnx"
    onnx.save(compact(insert(model, placement, [0.01] * len(placement.groups))), path)
    plan = build_plan(rtx, path, "int8", compute_capability="8.9")
    counts = count_types([layer for layer in plan.layers if layer.convolves])
    assert {name: count for name, count in counts.items() if count} == {"INT8": 7, "FP16": 2}


def test_progress_rises_from_nothing_to_all(rtx: trt_api.Api, tmp_path: Path) -> None:
    told: list[float] = []
    build_plan(rtx, save(tmp_path).with_suffix(".onnx"), "fp16", compute_capability="8.9", progress=told.append)
    assert min(told) < 0.2
    assert max(told) > 0.8
    assert told == sorted(told)


def test_a_plan_is_kept_whose_layers_are_described_in_another_form(
    rtx: trt_api.Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offline_tools.build.plan.from_build_log", lambda _: from_inspector('{"Layers": ["conv"]}'))
    plan = build_plan(rtx, save(tmp_path).with_suffix(".onnx"), "fp16", compute_capability="8.9")
    assert len(plan.content) > 1000
    assert (plan.layers, "describes layers in another form" in plan.unread) == ([], True)


def test_plans_of_rtx_can_be_captured_in_a_graph(rtx: trt_api.Api) -> None:
    config = rtx.create_builder(rtx.logger()).create_builder_config()
    rtx.allow_capture(config)
    assert config.get_flag(rtx.trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


class TimedConfig:
    """A builder configuration that cannot read kept times, or refuses them."""

    def __init__(self, readable: bool) -> None:
        self.readable = readable
        self.cache: bytes | None = None

    def create_timing_cache(self, known: bytes) -> bytes | None:
        return known if self.readable or not known else None

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return not cache

    def get_timing_cache(self) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: b"new")


@pytest.mark.parametrize("readable", [True, False])
def test_kernel_times_of_elsewhere_are_measured_anew(tmp_path: Path, readable: bool) -> None:
    file = tmp_path / "timing" / "a.cache"
    file.parent.mkdir()
    file.write_bytes(b"of another TensorRT")
    config = TimedConfig(readable)
    with _kept_timings(config, file):
        assert config.cache == b""
    assert file.read_bytes() == b"new"


def test_a_network_that_tensorrt_cannot_read_is_named(rtx: trt_api.Api, tmp_path: Path) -> None:
    onnx.save(unusable_network(), tmp_path / "odd.onnx")
    with pytest.raises(BuildError, match=r"cannot parse .*odd\.onnx: .*Bernoulli"):
        build_plan(rtx, tmp_path / "odd.onnx", "fp16", compute_capability="8.9")
    (tmp_path / "odd.onnx").write_bytes(b"not an ONNX")
    with pytest.raises(BuildError, match=r"odd\.onnx is no ONNX that can be used"):
        build_plan(rtx, tmp_path / "odd.onnx", "fp16", compute_capability="8.9")


def test_an_unknown_compute_capability_is_refused(rtx: trt_api.Api, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"does not know compute capability 1\.0"):
        build_plan(rtx, save(tmp_path).with_suffix(".onnx"), "fp16", compute_capability="1.0")


@pytest.mark.parametrize("quantized", [False, True])
def test_half_precision_changes_results_by_little_and_keeps_both_ends_in_float(quantized: bool) -> None:
    model = network(quantized)
    half = to_half(model)
    types = {t.name: t.data_type for t in half.graph.initializer}
    assert types["scale"] == types["size"] == onnx.TensorProto.FLOAT
    frames = np.random.default_rng(1).integers(0, 256, (2, 384, 640, 3), dtype=np.uint8)
    reference = version_converter.convert_version(model, 19)
    wanted, found = (ReferenceEvaluator(one).run(None, {"frames": frames})[0] for one in (reference, half))
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 0.01 * 640


def test_layers_of_the_inspector_are_counted_by_what_they_compute_in() -> None:
    def layer(name: str, kind: str, words: str) -> dict:
        return {"Name": name, "LayerType": kind, "Inputs": [{"Name": "x", "Format/Datatype": words}], "Outputs": []}

    text = json.dumps(
        {
            "Layers": [
                layer("conv1", "CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format"),
                layer("conv2", "CaskConvolution", "Channel major FP16 format where channel % 8 == 0"),
                layer("Reformatting CopyNode for Input Tensor 0", "Reformat", "Row major linear FP32"),
                layer("topk", "TopK", "Row major linear FP32"),
                layer("wait", "NoOp", "Row major linear FP32"),
            ]
        }
    )
    # As TensorRT 8.6 writes it: the names of fused layers are joined by a control character.
    layers = from_inspector(text.replace('"wait"', '"wait\x1efor"'))
    assert count_types(layers) == {"INT8": 1, "FP16": 1, "FP32": 1, "reformats": 1}
    assert [layer.name for layer in layers if layer.convolves] == ["conv1", "conv2"]
    assert precision_doubt(layers, "fp16") is None
    assert precision_doubt(layers[:1], "fp16") == (
        "only 0 of 1 convolutions compute in FP16: look at the ONNX and at its Q/DQ"
    )


def test_operations_and_bytes_are_those_of_the_convolution() -> None:
    """A 3x3 convolution from 16 to 32 channels, to 96x160 pixels of two images, in half precision."""
    tensor = "{{ Name: x, Dimensions: [{}], Strides: [1], Datatype: Half, Format: (NHWC) Channel major format }}"
    inputs, weights, bias, outputs = map(tensor.format, ("2,16,192,320", "32,16,3,3", "1,32,1,1", "2,32,96,160"))
    line = (
        f"Name: __myl_CorrSilu, LayerType: runtime_fusion, Inputs: [ {inputs}], Constants: [ {weights}, {bias}], "
        f"Outputs: [ {outputs}], TacticName: , StreamId: 0, Metadata: "
    )
    (layer,) = from_build_log(["Layers:", f"Layers:\n{line}\nName: a, LayerType: wait, Inputs: []"])
    assert layer.flops == 2 * (2 * 96 * 160) * 32 * 16 * 9
    assert layer.bytes == 2 * (2 * 16 * 192 * 320 + 32 * 16 * 9 + 32 + 2 * 32 * 96 * 160)
