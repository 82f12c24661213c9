# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine against a fake GPU: what it does in which order. test/gpu runs it on a real one."""

import gc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from doubles import MANIFEST_320, MANIFEST_640
from fake_gpu import NAME, VERSION, Code, FakeGpu, as_plan, install, plan

from cone_detector.engine import cuda, trt_api
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Gpu, Manifest, ManifestError, Runtime, read_manifest, write_manifest
from cone_detector.engine.select import choose, choose_for
from cone_detector.engine.tensorrt import TensorRtEngine, obstacle
from cone_detector.settings import Settings

PASS = ["event", "upload", "event", "enqueue", "event", "download", "event"]
AGAIN = ["event", "enqueue", "event", "download", "event"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return install(monkeypatch)


@pytest.fixture
def plans(tmp_path: Path) -> list[Path]:
    return [plan(tmp_path, MANIFEST_320), plan(tmp_path, MANIFEST_640)]


def paint(engine: TensorRtEngine, slot: int, left: int, right: int) -> None:
    engine.slots[slot][0], engine.slots[slot][1] = left, right


def scores(rows: np.ndarray) -> list[int]:
    return [round(float(side[0, 4]) * 255) for side in rows]


def test_a_pass_is_one_launch_of_upload_network_and_download(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=2)
    gpu.log.clear()
    engine.infer("320", 1)
    assert gpu.log == ["launch", *PASS]
    assert engine.notes == ()


def test_a_second_pass_reads_the_pixels_that_lie_on_the_gpu(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=2)
    paint(engine, 1, 10, 20)
    engine.infer("320", 1)
    gpu.log.clear()
    rows = engine.infer("640", 1, fresh=False)
    assert gpu.log == ["launch", *AGAIN]
    assert scores(rows) == [10, 20]
    assert engine.times.upload_ms == 0


def test_left_stays_left_and_each_slot_keeps_its_pixels(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=3)
    for slot in range(3):
        paint(engine, slot, 10 * slot + 1, 10 * slot + 2)
    for slot in (2, 0, 1):
        assert scores(engine.infer("640", slot)) == [10 * slot + 1, 10 * slot + 2]


@pytest.mark.parametrize("before", ["another slot", "a fault"])
def test_pixels_that_may_be_others_are_uploaded_though_not_fresh(gpu: FakeGpu, plans: list[Path], before: str) -> None:
    engine = TensorRtEngine(plans, slots=2)
    if before == "another slot":
        engine.infer("320", 0)
    else:
        gpu.fail["cudaStreamSynchronize"] = Code.cudaErrorIllegalAddress
        with pytest.raises(EngineError, match=r"pass 320 failed on Fake RTX 4060: .*cudaErrorIllegalAddress"):
            engine.infer("320", 1)
        gpu.fail.clear()
    paint(engine, 1, 30, 40)
    assert scores(engine.infer("640", 1, fresh=False)) == [30, 40]


def test_without_graphs_each_step_is_enqueued(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=1, graphs=False)
    gpu.log.clear()
    engine.infer("320", 0)
    engine.infer("640", 0, fresh=False)
    assert gpu.log == PASS + AGAIN


@pytest.mark.parametrize("name", ["cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_a_capture_that_fails_is_noted_and_the_engine_serves(gpu: FakeGpu, plans: list[Path], name: str) -> None:
    gpu.fail[name] = Code.cudaErrorStreamCaptureUnsupported
    engine = TensorRtEngine(plans, slots=1)
    assert [note.split(":")[0] for note in engine.notes] == [
        f"pass {name} runs without a CUDA graph, which makes it slower" for name in ("320", "640")
    ]
    gpu.log.clear()
    paint(engine, 0, 5, 6)
    assert scores(engine.infer("640", 0)) == [5, 6]
    assert gpu.log == PASS


def test_a_strip_is_brought_together_from_both_images(gpu: FakeGpu, tmp_path: Path, plans: list[Path]) -> None:
    band = plan(tmp_path, replace(MANIFEST_640, name="band", strip=96, network=(640, 96)))
    engine = TensorRtEngine([plans[0], band], slots=1)
    for side in (0, 1):
        engine.slots[0][side] = np.arange(384, dtype=np.uint16)[:, None, None] % 256
    gpu.log.clear()
    rows = engine.infer("band", 0, top=(100, 140))
    assert gpu.log == ["event", "upload", "copy", "copy", "launch", *AGAIN]
    assert scores(rows) == [100, 140]
    assert rows[:, 0, 0].tolist() == [195, 235]
    assert rows[:, 0, [1, 3]].tolist() == [[100, 100], [140, 140]], "rows are counted on the canvas"
    gpu.log.clear()
    engine.infer("band", 0, fresh=False, top=(0, 0))
    assert "upload" not in gpu.log
    with pytest.raises(EngineError, match=r"strip of 96 rows from \(0, 300\) leaves the canvas of 384"):
        engine.infer("band", 0, top=(0, 300))


def test_a_close_up_is_uploaded_by_itself_and_leaves_the_canvas(
    gpu: FakeGpu, tmp_path: Path, plans: list[Path]
) -> None:
    zoom = replace(MANIFEST_640, name="zoom", strip=96, network=(1280, 192))
    engine = TensorRtEngine([plans[1], plan(tmp_path, zoom)], slots=1)
    paint(engine, 0, 1, 2)
    engine.infer("640", 0)
    engine.close_ups["zoom"][0], engine.close_ups["zoom"][1] = 7, 8
    gpu.log.clear()
    rows = engine.infer("zoom", 0, fresh=False, top=(100, 140))
    assert gpu.log == ["event", "upload", "launch", *AGAIN]
    assert scores(rows) == [7, 8]
    assert engine.times.upload_ms > 0
    gpu.log.clear()
    assert scores(engine.infer("640", 0, fresh=False)) == [1, 2]
    assert "upload" not in gpu.log


@pytest.mark.parametrize("wait", ["spin", "sleep"])
def test_the_gpu_times_its_stages(gpu: FakeGpu, plans: list[Path], wait: str) -> None:
    engine = TensorRtEngine(plans, slots=1, wait=wait)  # type: ignore[arg-type]
    engine.infer("320", 0)
    times = engine.times
    # The fake's clock counts the steps of the log between two events.
    assert (times.upload_ms, times.compute_ms, times.download_ms) == (2, 2, 2)


def test_nothing_is_allocated_after_construction(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=2)
    before = set(gpu.allocated)
    first = engine.infer("320", 0)
    for _ in range(3):
        engine.infer("640", 1)
        assert engine.infer("320", 0) is first
    assert set(gpu.allocated) == before


def test_close_frees_the_device_twice_over_but_not_canvases_in_use(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=2)
    held = engine.slots[1][0]
    engine.close()
    engine.close()
    gc.collect()
    assert engine.slots == ()
    assert list(gpu.allocated) == [held.ctypes.data]
    held[:] = 3
    del held, engine
    gc.collect()
    assert not gpu.allocated


@pytest.mark.parametrize(
    "name", ["cudaMalloc", "cudaHostAlloc", "cudaStreamCreateWithFlags", "create_execution_context"]
)
def test_no_gpu_memory_is_an_error_and_frees_what_was_taken(gpu: FakeGpu, plans: list[Path], name: str) -> None:
    gpu.fail[name] = Code.cudaErrorMemoryAllocation
    with pytest.raises(EngineError, match="memory is full"):
        TensorRtEngine(plans, slots=2)
    gc.collect()
    assert not gpu.allocated


def test_a_plan_is_opened_only_after_its_hash_was_checked(gpu: FakeGpu, tmp_path: Path, plans: list[Path]) -> None:
    (tmp_path / "640.plan").write_bytes(b"plan 384 64")
    with pytest.raises(ManifestError, match=r"640\.plan has SHA-256"):
        TensorRtEngine(plans, slots=1)
    assert gpu.opened == []


def test_a_plan_that_tensorrt_refuses_is_named_with_its_reason(gpu: FakeGpu, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"320\.plan .*magic tag does not match.*make engines"):
        TensorRtEngine([plan(tmp_path, MANIFEST_320, b"garbage")], slots=1)


def test_a_plan_of_another_shape_than_its_manifest_is_refused(gpu: FakeGpu, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"320.plan has tensors .*\(2, 320, 640, 3\).*make engines"):
        TensorRtEngine([plan(tmp_path, MANIFEST_320, b"plan 320 640")], slots=1)


def test_an_enqueue_that_fails_is_an_engine_error(gpu: FakeGpu, plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=1, graphs=False)
    gpu.enqueue_works = False
    with pytest.raises(EngineError, match=r"pass 320 failed .*could not enqueue"):
        engine.infer("320", 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        (
            {"runtime": Runtime("tensorrt", "8.6.0")},
            "built with tensorrt 8.6.0, installed is 10.3.0: run `make engines`",
        ),
        ({"gpu": Gpu("Orin", "8.7")}, "built for Orin (compute capability 8.7), this is Fake RTX 4060 (8.9)"),
        ({"gpu": Gpu("RTX 4090", "8.9")}, "built for RTX 4090"),
        ({"gpu": None}, "names no GPU: run `make engines`"),
    ],
)
def test_a_plan_of_elsewhere_is_told_with_the_command_that_rebuilds_it(
    gpu: FakeGpu, change: dict, reason: str | None
) -> None:
    found = obstacle(replace(as_plan(MANIFEST_640), **change))
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


@pytest.mark.parametrize(
    ("code", "reason"),
    [(Code.cudaErrorInsufficientDriver, "no NVIDIA driver"), (Code.cudaErrorNoDevice, "no GPU is visible")],
)
def test_a_machine_without_gpu_is_told_what_is_missing(gpu: FakeGpu, code: Code, reason: str) -> None:
    gpu.fail["cudaGetDeviceCount"] = code
    found = obstacle(as_plan(MANIFEST_640))
    assert found is not None
    assert reason in found


def test_a_newer_driver_is_noted(
    gpu: FakeGpu, tmp_path: Path, plans: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n")
    monkeypatch.setattr(cuda, "_DRIVER_FILE", version)
    manifest = Manifest.from_json(plans[0].read_text())
    write_manifest(plans[0], replace(manifest, gpu=Gpu(NAME, "8.9", "550.54.14")))
    (note,) = TensorRtEngine(plans, slots=1).notes
    assert "was built under driver 550.54.14, this is 580.159.04" in note


def test_the_fake_has_nothing_that_cuda_python_has_not(gpu: FakeGpu) -> None:
    real = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python comes with `make test`")
    for name, value in vars(cuda.runtime()).items():
        assert hasattr(real, name), name
        if isinstance(value, int):
            assert int(getattr(real, name)) == value, name
    for group in ("cudaMemcpyKind", "cudaStreamCaptureMode"):
        for name in vars(getattr(cuda.runtime(), group)):
            assert hasattr(getattr(real, group), name), name


def test_the_fake_has_nothing_that_tensorrt_has_not(gpu: FakeGpu, plans: list[Path]) -> None:
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX comes with `make test`")
    fake = trt_api.load("tensorrt").trt
    assert {"uint8", "float32", "ILogger", "Runtime", "BuilderFlag"} <= set(dir(real))
    engine = fake.Runtime(fake.ILogger()).deserialize_cuda_engine(b"plan 384 640")
    for one, kind in (
        (fake.Runtime, real.Runtime),
        (type(engine), real.ICudaEngine),
        (type(engine.create_execution_context()), real.IExecutionContext),
    ):
        for name in (name for name in vars(one) if not name.startswith("_")):
            assert hasattr(kind, name), name


def put_plans(folder: Path, precision: str, onnx_sha256: str) -> dict[str, str]:
    """Plans of both passes beside the ONNX files that they are made of; returns parameters that name them."""
    named = {}
    for base in (MANIFEST_320, MANIFEST_640):
        path = plan(folder, base)
        write_manifest(path, replace(read_manifest(path), precision=precision, onnx_sha256=onnx_sha256))
        write_manifest(folder / f"float-{base.name}.json", replace(base, file_sha256="1" * 64))
        quantized = replace(base, file_sha256="2" * 64, qdq=True, precision="int8")
        write_manifest(folder / f"qdq-{base.name}.json", quantized)
        named[f"engine.manifest_{base.name}"] = str(path)
    return named


def put_timed(folder: Path, runtime: str = "tensorrt", **ms: float) -> None:
    """Plans of both passes in each precision, that took so many milliseconds a pass; 0: nobody timed them."""
    for precision, time in ms.items():
        for base in (MANIFEST_320, MANIFEST_640):
            found = replace(as_plan(base), precision=precision, runtime=Runtime(runtime, VERSION), ms=time)
            write_manifest(folder / f"{runtime}-{precision}-{base.name}.json", found)


@pytest.mark.parametrize(
    ("ms", "chosen", "reason"),
    [
        ({"fp16": 0.0, "int8": 0.0}, "int8", "int8 table from"),
        ({"fp16": 0.2, "int8": 0.0}, "int8", "int8 table from"),
        ({"fp16": 0.2, "int8": 0.3}, "fp16", ", 0.40 ms for its passes where int8 takes 0.60"),
        ({"fp16": 0.3, "int8": 0.2}, "int8", ", 0.40 ms for its passes where fp16 takes 0.60"),
    ],
)
def test_of_a_model_the_precision_serves_that_was_faster_on_this_gpu(
    gpu: FakeGpu, tmp_path: Path, ms: dict[str, float], chosen: str, reason: str
) -> None:
    put_timed(tmp_path, **ms)
    choice = choose(tmp_path, ("320", "640"))
    assert choice.candidate.precision == chosen
    assert reason in choice.reason


def test_tensorrt_goes_before_tensorrt_rtx(gpu: FakeGpu, tmp_path: Path) -> None:
    put_timed(tmp_path, "tensorrt-rtx", int8=0.1)
    put_timed(tmp_path, "tensorrt", fp16=0.2)
    choice = choose(tmp_path, ("320", "640"))
    assert choice.candidate.kind == "tensorrt"


@pytest.mark.parametrize("make", ["create_runtime", "create_builder"])
def test_a_tensorrt_that_does_not_start_says_why(make: str) -> None:
    def refuse(_: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    api = trt_api.Api("tensorrt", SimpleNamespace(__version__=VERSION, Runtime=refuse, Builder=refuse))
    with pytest.raises(EngineError, match="does not start: the driver is too old"):
        getattr(api, make)(SimpleNamespace(last_error="the driver is too old"))


@pytest.mark.parametrize(("precision", "source"), [("fp16", "1"), ("int8", "2")])
def test_a_plan_whose_onnx_was_replaced_since_never_serves(
    gpu: FakeGpu, tmp_path: Path, precision: str, source: str
) -> None:
    passes = ("320", "640")
    named = put_plans(tmp_path, precision, source * 64)
    assert choose(tmp_path, passes, "tensorrt").candidate.precision == precision
    assert choose_for(Settings(named), tmp_path, passes).candidate.precision == precision
    put_plans(tmp_path, precision, "f" * 64)
    with pytest.raises(EngineError, match=r"640\.json: the plan was built from an ONNX of .* run `make engines`"):
        choose(tmp_path, passes, "tensorrt")
    with pytest.raises(EngineError, match=r"320\.json: the plan was built from an ONNX of .* run `make engines`"):
        choose_for(Settings(named), tmp_path, passes)
    choice = choose(tmp_path, passes)
    assert choice.candidate.runtime == "openvino"
    assert f"ONNX of SHA-256 ffffffffffff…, now there is {source * 12}…" in choice.reason


def test_a_plan_without_its_onnx_beside_it_serves(gpu: FakeGpu, tmp_path: Path) -> None:
    put_plans(tmp_path, "fp16", "f" * 64)
    for path in tmp_path.glob("float-*.json"):
        path.unlink()
    assert choose(tmp_path, ("320", "640")).candidate.runtime == "tensorrt"


def test_where_cuda_is_lost_the_cpu_is_chosen_and_why(gpu: FakeGpu, tmp_path: Path) -> None:
    for manifest in (MANIFEST_320, MANIFEST_640):
        plan(tmp_path, manifest)
        write_manifest(tmp_path / f"float-{manifest.name}.json", manifest)
    assert choose(tmp_path, ("320", "640")).candidate.runtime == "tensorrt"
    gpu.fail["cudaMemGetInfo"] = Code.cudaErrorIllegalAddress
    choice = choose(tmp_path, ("320", "640"))
    assert choice.candidate.runtime == "openvino"
    assert "cudaErrorIllegalAddress" in choice.reason
    assert "only a restart brings the GPU back" in choice.reason
