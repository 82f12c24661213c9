# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine on a real GPU."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cone_detector.detector import StereoDetector
from cone_detector.engine import cuda
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import (
    Gpu,
    ManifestError,
    Runtime,
    file_sha256,
    read_manifest,
    write_manifest,
)
from cone_detector.engine.tensorrt import TensorRtEngine, obstacle
from cone_detector.frames import Frame
from cone_detector.settings import Settings

Pictures = list[NDArray[np.uint8]]


def put(engine: TensorRtEngine, slot: int, left: NDArray[np.uint8], right: NDArray[np.uint8]) -> None:
    engine.slots[slot][0], engine.slots[slot][1] = left, right


def close_to(rows: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Same scores, in order; boxes and classes of rows with equal scores may trade places."""
    return bool(np.allclose(rows[..., 4], others[..., 4], atol=2e-3))


def test_each_pass_runs_as_a_graph(engine: TensorRtEngine) -> None:
    assert engine.notes == ()


@pytest.mark.parametrize("name", ["320", "640"])
def test_a_graph_returns_what_plain_enqueue_returns(
    engine: TensorRtEngine, plans: list[Path], pictures: Pictures, name: str
) -> None:
    plain = TensorRtEngine(plans, slots=1, graphs=False)
    for picture, other in zip(pictures[::2], pictures[1::2], strict=True):
        put(engine, 1, picture, other)
        put(plain, 0, picture, other)
        np.testing.assert_array_equal(engine.infer(name, 1), plain.infer(name, 0))
    plain.close()


def test_both_passes_read_one_upload(engine: TensorRtEngine, pictures: Pictures) -> None:
    put(engine, 2, pictures[0], pictures[1])
    fresh = engine.infer("640", 2).copy()
    engine.infer("320", 2)
    assert engine.times.upload_ms > 0
    again = engine.infer("640", 2, fresh=False)
    assert engine.times.upload_ms == 0
    np.testing.assert_array_equal(fresh, again)


@pytest.mark.parametrize("name", ["320", "640"])
def test_left_and_right_are_never_swapped(engine: TensorRtEngine, pictures: Pictures, name: str) -> None:
    put(engine, 0, pictures[0], pictures[1])
    put(engine, 1, pictures[1], pictures[0])
    put(engine, 2, pictures[0], pictures[0])
    straight, swapped, same = (engine.infer(name, slot).copy() for slot in range(3))
    assert close_to(straight[0], swapped[1])
    assert close_to(straight[1], swapped[0])
    assert close_to(same[0], same[1])
    assert not close_to(straight[0], straight[1])


def test_the_gpu_times_its_stages(engine: TensorRtEngine) -> None:
    engine.infer("640", 0)
    times = engine.times
    assert 0 < times.upload_ms < times.compute_ms
    assert 0 < times.download_ms < times.compute_ms


def test_sleeping_returns_the_same_rows(engine: TensorRtEngine, plans: list[Path], pictures: Pictures) -> None:
    sleeper = TensorRtEngine(plans, slots=1, wait="sleep")
    put(engine, 0, pictures[2], pictures[3])
    put(sleeper, 0, pictures[2], pictures[3])
    np.testing.assert_array_equal(engine.infer("320", 0), sleeper.infer("320", 0))
    sleeper.close()


def test_a_thousand_frames_take_no_gpu_memory(engine: TensorRtEngine, pictures: Pictures) -> None:
    detector = StereoDetector(engine, Settings({"policy.name": "cascade"}))
    frames = [Frame(np.ascontiguousarray(np.repeat(np.repeat(p[12:-12], 2, 0), 2, 1))) for p in pictures]
    free = cuda.runtime().cudaMemGetInfo
    detector.detect(frames[0], frames[1])
    before = cuda.call(free)
    for index in range(1000):
        detector.detect(frames[index % 6], frames[(index + 1) % 6])
    assert cuda.call(free) == before


def test_another_engine_may_load_while_this_one_serves(
    engine: TensorRtEngine, plans: list[Path], pictures: Pictures
) -> None:
    put(engine, 0, pictures[0], pictures[1])
    expected = engine.infer("640", 0).copy()
    stop, wrong = threading.Event(), []

    def serve() -> None:
        while not stop.is_set():
            if not np.array_equal(engine.infer("640", 0), expected):
                wrong.append(True)

    thread = threading.Thread(target=serve)
    thread.start()
    other = TensorRtEngine(plans, slots=2)
    stop.set()
    thread.join()
    assert other.notes == ()
    assert not wrong
    other.close()
    np.testing.assert_array_equal(engine.infer("640", 0), expected)


def test_canvases_outlive_their_engine(plans: list[Path]) -> None:
    engine = TensorRtEngine(plans, slots=1)
    held = engine.slots[0]
    engine.close()
    engine.close()
    held[...] = 9
    assert int(held.sum()) == 9 * held.size


def copy_of(plans: list[Path], folder: Path, **changes: object) -> Path:
    """The 640 plan's manifest in another folder, changed, with the plan beside it."""
    manifest = read_manifest(plans[1])
    (folder / manifest.file).write_bytes(plans[1].with_name(manifest.file).read_bytes())
    path = folder / "copy.json"
    write_manifest(path, replace(manifest, **changes))
    return path


def test_plans_of_elsewhere_are_refused(plans: list[Path], tmp_path: Path) -> None:
    manifest = read_manifest(plans[1])
    assert obstacle(manifest) is None
    for change, reason in (
        ({"runtime": Runtime(manifest.runtime.name, "1.2.3")}, "was built with tensorrt"),
        ({"gpu": Gpu("NVIDIA GeForce RTX 4060", "8.9")}, "was built for NVIDIA GeForce RTX 4060"),
    ):
        with pytest.raises(EngineError, match=f"{reason}.*make engines"):
            TensorRtEngine([copy_of(plans, tmp_path, **change)], slots=1)


def test_a_truncated_plan_is_refused(plans: list[Path], tmp_path: Path) -> None:
    path = copy_of(plans, tmp_path)
    file = path.with_name(read_manifest(path).file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ManifestError, match="has SHA-256"):
        TensorRtEngine([path], slots=1)
    write_manifest(path, replace(read_manifest(path), file_sha256=file_sha256(file)))
    with pytest.raises(EngineError, match="cannot open"):
        TensorRtEngine([path], slots=1)


def test_full_gpu_memory_is_an_error_that_passes(plans: list[Path]) -> None:
    hogs = []
    size = int(cuda.call(cuda.runtime().cudaMemGetInfo))
    while size > 1 << 16:
        try:
            hogs.append(cuda.DeviceMemory(size))
        except cuda.CudaError:
            size //= 2
    with pytest.raises(EngineError):
        TensorRtEngine(plans, slots=1)
    for hog in hogs:
        hog.close()
    TensorRtEngine(plans, slots=1).close()


def elsewhere(code: str, *arguments: object, **environment: str) -> str:
    """Runs Python code in a process of its own; returns the last line that it printed."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_an_invisible_gpu_is_an_obstacle(plans: list[Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from cone_detector.engine.manifest import read_manifest;"
        "from cone_detector.engine.tensorrt import obstacle; print(obstacle(read_manifest(Path(sys.argv[1]))))"
    )
    assert "no GPU is visible" in elsewhere(code, plans[1], CUDA_VISIBLE_DEVICES="")


def test_a_cuda_error_while_running_is_an_engine_error_and_the_cpu_goes_on(plans: list[Path]) -> None:
    code = """
import json, sys
from pathlib import Path
from cone_detector.engine.contract import EngineError
from cone_detector.engine.select import choose, load
from cone_detector.engine.tensorrt import TensorRtEngine
plans = [Path(argument) for argument in sys.argv[1:]]
engine = TensorRtEngine(plans, slots=1, graphs=False)
plan = engine._passes["640"]
plan._context.set_tensor_address("detections", 4096)
errors = []
for _ in range(2):
    try:
        engine.infer("640", 0)
    except EngineError as error:
        errors.append(str(error))
engine.close()
choice = choose(plans[0].parent, ("320", "640"))
other = load(choice, 1)
rows = other.infer("640", 0)
print(json.dumps([errors, choice.candidate.runtime, choice.reason, other.device, rows.shape]))
"""
    errors, runtime, reason, device, shape = json.loads(elsewhere(code, *plans))
    print(errors, reason)
    assert len(errors) == 2
    assert "cudaErrorIllegalAddress" in errors[0]
    assert runtime == "openvino"
    assert "only a restart brings the GPU back" in reason
    assert device.startswith("CPU")
    assert shape == [2, 300, 6]


def test_two_processes_share_a_gpu(engine: TensorRtEngine, plans: list[Path], pictures: Pictures) -> None:
    code = """
import sys
from pathlib import Path
from cone_detector.engine.tensorrt import TensorRtEngine
engine = TensorRtEngine([Path(sys.argv[1])], slots=1)
first = engine.infer("640", 0).copy()
print(all((engine.infer("640", 0) == first).all() for _ in range(2000)))
"""
    put(engine, 0, pictures[0], pictures[1])
    expected = engine.infer("640", 0).copy()
    answer: list[str] = []
    thread = threading.Thread(target=lambda: answer.append(elsewhere(code, plans[1])))
    thread.start()
    while thread.is_alive():
        np.testing.assert_array_equal(engine.infer("640", 0), expected)
    assert answer == ["True"]
