# SPDX-License-Identifier: AGPL-3.0-only
"""Building plans, with TensorRT-RTX, which needs no GPU to build for one. test/gpu runs plans on a real GPU."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from build_network import network, save
from fake_gpu import NAME, FakeGpu, install
from onnx import version_converter
from onnx.reference import ReferenceEvaluator

from cone_detector.engine import trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Evaluation, Gpu, Manifest, Runtime, read_manifest, write_manifest
from cone_detector.engine.openvino import OpenVinoEngine
from cone_detector.engine.tensorrt import obstacle as engine_obstacle
from cone_detector.replay.bag_writer import write_bag
from offline_tools.build import add_arguments, run
from offline_tools.build import command as command_module
from offline_tools.build.frames import FramesError, read_canvases
from offline_tools.build.half import to_half
from offline_tools.build.layers import count_types, from_build_log, from_inspector, precision_doubt
from offline_tools.build.plan import BuildError, Plan, build_plan
from offline_tools.build.progress import Durations
from offline_tools.build.sources import Job, Target, find_jobs
from offline_tools.build.verify import SCORE_FLOOR, compare

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "engines").glob("*.onnx"))
RTX_4060 = Target(Runtime("tensorrt", "10.3.0"), Gpu("NVIDIA GeForce RTX 4060", "8.9", "550.54.14"))


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(map(str, arguments))))


@pytest.fixture(scope="module")
def rtx() -> trt_api.Api:
    return trt_api.load("tensorrt-rtx")


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


# Building


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


def test_progress_rises_from_nothing_to_all(rtx: trt_api.Api, tmp_path: Path) -> None:
    told: list[float] = []
    build_plan(rtx, save(tmp_path).with_suffix(".onnx"), "fp16", compute_capability="8.9", progress=told.append)
    assert min(told) < 0.2
    assert max(told) > 0.8
    assert told == sorted(told)


def test_a_network_that_tensorrt_cannot_read_is_named(rtx: trt_api.Api, tmp_path: Path) -> None:
    model = network()
    _make_unusable(model)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(BuildError, match=r"cannot parse .*odd\.onnx: .*Bernoulli"):
        build_plan(rtx, tmp_path / "odd.onnx", "fp16", compute_capability="8.9")
    (tmp_path / "odd.onnx").write_bytes(b"not an ONNX")
    with pytest.raises(BuildError, match=r"odd\.onnx is no ONNX that can be used"):
        build_plan(rtx, tmp_path / "odd.onnx", "fp16", compute_capability="8.9")


def _make_unusable(model: onnx.ModelProto) -> None:
    """Puts an operator in that TensorRT does not have."""
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Bernoulli"


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


# The command


def test_the_command_builds_once_and_keeps_what_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path)
    save(tmp_path, quantized=True)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options) == 0
    assert "build small 640 fp16: there is none yet" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "small-640-fp16-tensorrt-rtx.json")
    assert (manifest.precision, manifest.qdq, manifest.gpu and manifest.gpu.compute_capability) == (
        "fp16",
        False,
        "8.9",
    )
    plans = sorted(tmp_path.glob("*.plan"))
    assert len(plans) == 2
    assert command(*options) == 0
    assert "keep  small 640 int8: fits" in capsys.readouterr().out
    assert sorted(tmp_path.glob("*.plan")) == plans
    assert not list(tmp_path.glob(".build-*"))


def test_a_dry_run_builds_nothing(tmp_path: Path) -> None:
    save(tmp_path)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options, "--dry-run") == 0
    assert not list(tmp_path.glob("*.plan"))


def test_a_failed_build_leaves_what_was_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path)
    options = ("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9")
    assert command(*options) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*tensorrt*")}
    file = source.with_suffix(".onnx")
    model = network()
    _make_unusable(model)
    onnx.save(model, file)
    changed = read_manifest(source)
    write_manifest(source, replace(changed, file_sha256=_sha256(file), onnx_sha256=_sha256(file)))
    capsys.readouterr()
    assert command(*options) == 1
    out = capsys.readouterr().out
    assert "the ONNX is" in out
    assert "what was installed stays" in out.replace("\n", " ")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*tensorrt*")} == before


def test_nothing_to_build_from_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--engines", tmp_path, "--runtime", "tensorrt-rtx", "--compute-capability", "8.9") == 1
    assert "nothing to build" in capsys.readouterr().out


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


# The command, with a fake GPU on which plans are tried


@pytest.fixture
def on_the_car(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    """A folder with an ONNX and frames, and a GPU for which building is instant."""
    gpu = install(monkeypatch)
    content = iter(range(100))

    def instant(*_: object, **__: object) -> Plan:
        return Plan(b"plan 384 640 %d" % next(content), [])

    monkeypatch.setattr(command_module, "build_plan", instant)
    save(tmp_path)
    (tmp_path / "frames").mkdir()
    noise = np.random.default_rng(4).integers(0, 256, (4, 24, 40, 3), dtype=np.uint8)
    for index, one in enumerate(noise):
        cv2.imwrite(str(tmp_path / "frames" / f"{index}.png"), cv2.resize(one, (640, 384)))
    return gpu


def build_on_the_car(folder: Path, *options: str) -> int:
    return command("--engines", folder, "--runtime", "tensorrt", "--frames", folder / "frames", *options)


def test_a_plan_that_returns_the_rows_of_its_onnx_replaces_the_old_one(on_the_car: FakeGpu, tmp_path: Path) -> None:
    reference = OpenVinoEngine([tmp_path / "small-640.json"], slots=1)

    def right(canvas: np.ndarray) -> np.ndarray:
        reference.slots[0][...] = canvas
        return reference.infer("640", 0)

    on_the_car.network = right
    assert build_on_the_car(tmp_path) == 0
    (first,) = tmp_path.glob("*.plan")
    assert build_on_the_car(tmp_path, "--force") == 0
    (second,) = tmp_path.glob("*.plan")
    assert first != second
    manifest = read_manifest(tmp_path / "small-640-fp16-tensorrt.json")
    assert manifest.file == second.name
    assert manifest.gpu == Gpu(NAME, "8.9")
    assert engine_obstacle(manifest) is None


def test_a_plan_with_other_rows_is_not_installed(
    on_the_car: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_on_the_car(tmp_path) == 1
    out = capsys.readouterr().out
    assert "0.0% of the reference's rows are found, must be 99.5%; what was installed stays" in out
    assert not list(tmp_path.glob("*.plan"))
    assert not (tmp_path / "small-640-fp16-tensorrt.json").exists()
    assert not list(tmp_path.glob(".build-*"))


def test_frames_are_needed_on_the_car(on_the_car: FakeGpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--engines", tmp_path, "--runtime", "tensorrt", "--frames", tmp_path / "none") == 1
    assert "no frames at" in capsys.readouterr().out


# What is stale


def job(folder: Path, target: Target = RTX_4060) -> Job:
    (found,) = find_jobs(folder, folder, target)
    return found


def installed(one: Job, **changes: object) -> Manifest:
    """Writes a plan and its manifest, as the build of `one` would but for `changes`."""
    plan = one.manifest_path.with_name("a.plan")
    plan.write_bytes(b"plan")
    manifest = replace(one.manifest("a.plan", _sha256(plan)), **changes)  # type: ignore[arg-type]
    write_manifest(one.manifest_path, manifest)
    return manifest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"onnx_sha256": "f" * 64}, "the ONNX is "),
        ({"canvas": (640, 640)}, "the canvas is (640, 384), was (640, 640)"),
        ({"runtime": Runtime("tensorrt", "8.6.0")}, "tensorrt is 10.3.0, was 8.6.0"),
        ({"gpu": Gpu("NVIDIA GeForce RTX 4090", "8.9", "550.54.14")}, "the GPU is NVIDIA GeForce RTX 4060 (8.9), was"),
        ({"gpu": Gpu("NVIDIA GeForce RTX 4060", "8.9", "535.1")}, "the driver is 550.54.14, was 535.1"),
        ({"gpu": None}, "the GPU is NVIDIA GeForce RTX 4060 (8.9), was unknown"),
        ({"file_sha256": "f" * 64}, "a.plan has SHA-256"),
        ({"nms": False}, "the manifest of the ONNX changed"),
    ],
)
def test_what_is_stale_is_told_with_its_reason(tmp_path: Path, changes: dict, reason: str | None) -> None:
    save(tmp_path)
    one = job(tmp_path)
    assert one.stale() == ["there is none yet"]
    installed(one, **changes)
    found = one.stale()
    if reason is None:
        assert found == []
    else:
        assert len(found) == 1
        assert reason in found[0]


def test_an_evaluation_that_came_later_is_noted_without_a_build(tmp_path: Path) -> None:
    source = save(tmp_path)
    installed(job(tmp_path))
    evaluation = Evaluation("val", 0.7, 0.4, "0" * 64)
    write_manifest(source, replace(read_manifest(source), evaluation=evaluation))
    later = job(tmp_path)
    assert later.stale() == []
    later.note_evaluation()
    assert read_manifest(later.manifest_path).evaluation == evaluation
    own = replace(evaluation, map50=0.69)
    write_manifest(later.manifest_path, replace(read_manifest(later.manifest_path), evaluation=own))
    assert later.stale() == []
    later.note_evaluation()
    assert read_manifest(later.manifest_path).evaluation == own


def test_a_portable_plan_outlives_driver_and_card(tmp_path: Path) -> None:
    save(tmp_path)
    runtime = Runtime("tensorrt-rtx", "1.7.1.116")
    installed(job(tmp_path, Target(runtime, Gpu("any", "8.9"), portable=True)))
    assert job(tmp_path, Target(runtime, Gpu("NVIDIA GeForce RTX 4090", "8.9", "580.1"), portable=True)).stale() == []


def test_a_quantized_network_is_for_int8_and_others_are_for_fp16(tmp_path: Path) -> None:
    save(tmp_path)
    save(tmp_path, quantized=True)
    titles = [one.title for one in find_jobs(tmp_path, tmp_path, RTX_4060)]
    assert sorted(titles) == ["small 640 fp16", "small 640 int8"]
    assert [one.title for one in find_jobs(tmp_path, tmp_path, RTX_4060, precisions=["int8"])] == ["small 640 int8"]
    assert find_jobs(tmp_path, tmp_path, RTX_4060, models=["other"]) == []


# The layer table, from TensorRT 8.6's words


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
    layers = from_inspector(text)
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


# Verification


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
    agreement = compare([rows(CONE)], [rows((5, 5, 9, 9, 0.95, 0), other)])
    assert (agreement.frames, agreement.rows) == (2, 2)
    assert agreement.found == found
    assert agreement.within_limits == within
    assert (agreement.shortfall("fp16") is None) == (within == 1.0)


def test_int8_may_differ_but_must_find_the_cones() -> None:
    shaken = rows((103.0, 100.0, 120.0, 130.0, 0.8, 0.0))
    assert compare([rows(CONE)], [shaken]).shortfall("int8") is None
    lost = compare([rows(CONE)], [rows()]).shortfall("int8")
    assert lost == "0.0% of the reference's rows are found, must be 90.0%"


def test_frames_without_cones_prove_nothing() -> None:
    faint = rows((*CONE[:4], SCORE_FLOOR - 0.01, 0.0))
    shortfall = compare([faint], [faint]).shortfall("fp16")
    assert shortfall is not None
    assert "give frames that show cones" in shortfall


# Durations


def test_durations_outlast_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "durations.json"
    durations = Durations(file)
    assert durations.get("a") is None
    durations.put("a", 12.34)
    assert Durations(file).get("a") == 12.3
    file.write_text("{")
    assert durations.get("a") is None


# Frames


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
