# SPDX-License-Identifier: AGPL-3.0-only
"""Which plans are stale, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_network import save

from cone_detector.engine.manifest import Evaluation, Gpu, Manifest, Runtime, file_sha256, read_manifest, write_manifest
from offline_tools.build.progress import Durations
from offline_tools.build.sources import Job, Target, find_jobs

RTX_4060 = Target(Runtime("tensorrt", "10.3.0"), Gpu("NVIDIA GeForce RTX 4060", "8.9", "550.54.14"))


def job(folder: Path, target: Target = RTX_4060) -> Job:
    (found,) = find_jobs(folder, folder, target)
    return found


def installed(one: Job, **changes: object) -> Manifest:
    """Writes a plan and its manifest, as the build of `one` would but for `changes`."""
    plan = one.manifest_path.with_name("a.plan")
    plan.write_bytes(b"plan")
    manifest = replace(one.manifest("a.plan", file_sha256(plan)), **changes)  # type: ignore[arg-type]
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


def test_an_int8_plan_has_no_evaluation_but_its_own(tmp_path: Path) -> None:
    source = save(tmp_path, quantized=True)
    evaluation = Evaluation("val", 0.7, 0.4, "0" * 64)
    write_manifest(source, replace(read_manifest(source), evaluation=evaluation))
    one = job(tmp_path)
    assert installed(one).evaluation is None
    one.note_evaluation()
    assert read_manifest(one.manifest_path).evaluation is None
    write_manifest(one.manifest_path, replace(read_manifest(one.manifest_path), evaluation=evaluation))
    assert one.stale() == []


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


def test_durations_outlast_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "durations.json"
    durations = Durations(file)
    assert durations.get("a") is None
    durations.put("a", 12.34)
    assert Durations(file).get("a") == 12.3
    file.write_text("{")
    assert durations.get("a") is None
