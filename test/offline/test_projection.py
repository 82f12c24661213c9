# SPDX-License-Identifier: AGPL-3.0-only
"""The projection counts a network right, finds its parameters again, and says what it is: simulated."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_network import save

from cone_detector.engine.manifest import read_manifest
from offline_tools import projection
from offline_tools.projection import passes
from offline_tools.projection.command import table_of
from offline_tools.projection.gpus import H100, H200, RTX_4060, GpuSpec, spec_of
from offline_tools.projection.kernels import Kernel, kernels_of
from offline_tools.projection.model import Point, fit
from offline_tools.projection.networks import Network, need
from offline_tools.projection.project import project
from offline_tools.projection.uploads import Uploads

ENGINES = Path(__file__).resolve().parents[2] / "engines"
# Large enough that the peaks, not the starts, decide on part of a GPU.
HEAVY = [Kernel(f"{p} {n}", p, 4e8, 1e4, 1e6) for n in range(60) for p in ("fp16", "int8")]


def slower(share: float) -> GpuSpec:
    """An H200 with that share of its multiprocessors, its memory and L2 cache whole."""
    values = {name: getattr(H200, name) * share for name in ("int8_tops", "fp16_tflops", "l2_gb_s")}
    return replace(H200, name=f"{share} of an H200", **values)


def measured(**changes: object) -> dict:  # type: ignore[type-arg]
    """A benchmark of the shipped 640 plans, as an H200 might give it."""
    engine = {
        "model": "yolo11n", "precision": "fp16", "canvas": "640", "limit_graph_ms": 0.71, "gpu_graph_ms_p50": 0.78,
        "gpu_compute_ms_p50": 0.72, "gpu_upload_ms_p50": 0.04, "host_rows_ms_p50": 0.84,
        "detector_ms_p50": 1.3, "cones_ms_p50": 1.8,
    }  # fmt: skip
    uploads = {"page_locked_gb_s": 40.0, "pageable_gb_s": 6.0}
    engines = [engine, {**engine, "precision": "int8", "limit_graph_ms": 0.69}]
    return {"machine": {"gpu": "NVIDIA H200", "uploads": uploads}, "engines": engines, **changes}


def test_a_convolution_counts_its_operations_and_bytes(tmp_path: Path) -> None:
    kernels = kernels_of(save(tmp_path).with_suffix(".onnx"))
    assert all(kernel.flops >= 0 and kernel.activation_bytes > 0 for kernel in kernels)
    quantized = kernels_of(save(tmp_path, quantized=True).with_suffix(".onnx"))
    assert len(quantized) == len(kernels)
    assert {kernel.precision for kernel in kernels} == {"fp16"}
    assert "int8" in {kernel.precision for kernel in quantized}
    assert sum(kernel.flops for kernel in quantized) == sum(kernel.flops for kernel in kernels)
    assert sum(kernel.weight_bytes for kernel in quantized) < sum(kernel.weight_bytes for kernel in kernels)


def test_the_shipped_network_counts_what_its_makers_count() -> None:
    # Ultralytics gives YOLO11n 6.5 GFLOPs for 640x640 and 80 classes; two canvases are 1.2 times as many pixels.
    gflops = sum(kernel.flops for kernel in kernels_of(ENGINES / "yolo11n-640.onnx")) / 1e9
    assert gflops == pytest.approx(6.5 * 1.2, rel=0.05)


def test_the_parameters_of_a_synthetic_gpu_are_found_again() -> None:
    truth = replace(fit([Point("any", HEAVY, H200, 1.0)]), start_us=4.0, shares={"fp16": 0.4, "int8": 0.25})
    halves = {p: [kernel for kernel in HEAVY if kernel.precision == p] for p in ("fp16", "int8")}
    gpus = [H200, *map(slower, (0.06, 0.12, 0.18, 0.5))]
    points = [Point(f"{p} {gpu.name}", k, gpu, truth.ms(k, gpu)) for p, k in halves.items() for gpu in gpus]
    found = fit(points)
    assert found.start_us == pytest.approx(4.0, rel=0.05)
    assert found.shares == pytest.approx(truth.shares, rel=0.1)
    assert np.abs(list(found.misfits_pct.values())).max() < 5


def test_fewer_multiprocessors_take_longer_but_never_in_proportion_to_the_starts() -> None:
    roofline = fit([Point("whole", HEAVY, H200, 1.0)])
    times = [roofline.ms(HEAVY, slower(share)) for share in (1, 0.5, 0.2, 0.06)]
    assert times == sorted(times)
    assert times[-1] < times[0] / 0.06


def test_what_leaves_the_cache_pays_the_memory() -> None:
    roofline = fit([Point("whole", HEAVY, H200, 1.0)])
    small = [Kernel("copy", "fp16", 0.0, 0.0, 20e6)]
    large = [Kernel("copy", "fp16", 0.0, 0.0, 30e6)]
    slower = RTX_4060.l2_gb_s / RTX_4060.dram_gb_s
    start = roofline.start_us / 1e3
    ratio = (roofline.ms(large, RTX_4060) - start) / (roofline.ms(small, RTX_4060) - start)
    assert ratio == pytest.approx(1.5 * slower)


def test_the_projection_names_its_errors_at_known_points_and_says_simulated(tmp_path: Path) -> None:
    file, report, table = tmp_path / "h200.json", tmp_path / "rtx4060.json", tmp_path / "rtx4060.md"
    file.write_text(json.dumps(measured()))
    parser = argparse.ArgumentParser()
    projection.add_arguments(parser)
    args = parser.parse_args([str(file), "--engines", str(ENGINES), "--output", str(report), "--table", str(table)])
    assert projection.run(args) == 0
    found = json.loads(report.read_text())
    assert found["simulated"] is True
    assert found["engine"] == "yolo11n 640 int8"
    network, upload = found["known_points"]
    assert network["error_pct"] == pytest.approx(100 * (network["projected_ms"] / 0.99 - 1), abs=0.1)
    fp16, int8 = found["engines"]
    assert (found["network_error_pct"], found["upload_error_pct"]) == (
        abs(network["error_pct"]),
        abs(upload["error_pct"]),
    )
    assert found["upload_error_pct"] > found["error_pct"] > found["network_error_pct"]
    parts = int8["compute_ms"] * found["network_error_pct"] + int8["upload_ms"] * found["upload_error_pct"]
    assert found["error_pct"] == pytest.approx(parts / (int8["compute_ms"] + int8["upload_ms"]), abs=0.1)
    # 4.9 MB over the link at the share that was measured, and through the host's own copy.
    assert upload["projected_ms"] == pytest.approx(4.9152 * (1 / (15.75 * 40 / 63) + 1 / 6 - 1 / 40), abs=1e-3)
    assert int8["compute_ms"] < fp16["compute_ms"]
    assert int8["frame_ms"] == pytest.approx(int8["gpu_ms"] + int8["host_ms"], abs=2e-3)
    lines = table.read_text().splitlines()
    assert "simulated" in lines[0]
    assert f"`network` is taken to be off by {found['network_error_pct']:.0f} %" in lines[2]
    assert f"`upload` by {found['upload_error_pct']:.0f} %" in lines[2]
    assert "Measured times: 2, for 3 parameters" in lines[2]
    assert "| 2D with that host | 3D with that host |" in table.read_text()


def test_each_pass_has_a_cost_in_which_a_canvas_is_uploaded_once() -> None:
    found = project(measured(), [ENGINES])
    costs = {one["canvas"]: one for one in found["passes"] if one["precision"] == "int8"}
    assert {"320", "640"} <= costs.keys()
    for one in (costs["320"], costs["640"]):
        # 1.5 MB over the link at the share that was measured; start and wait are 0.84 - 0.78, download 0.02 ms.
        assert one["upload_ms"] == pytest.approx(1.47456 / (15.75 * 40 / 63), abs=1e-3)
        assert one["second_ms"] == pytest.approx(one["compute_ms"] + 0.06 + 0.02, abs=2e-3)
        assert one["first_ms"] == pytest.approx(one["second_ms"] + one["upload_ms"], abs=2e-3)
    (whole,) = (one for one in found["engines"] if one["precision"] == "int8")
    assert costs["640"]["compute_ms"] == whole["compute_ms"]
    assert whole["compute_ms"] / 4 < costs["320"]["compute_ms"] < whole["compute_ms"]


def test_a_close_up_brings_its_own_pixels_whenever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    band = replace(read_manifest(ENGINES / "yolo11n-640.json"), name="band", strip=80, network=(768, 96))
    networks = {"640": need(("yolo11n", "int8", "640"), [ENGINES]), "band": Network(band, HEAVY)}
    monkeypatch.setattr(passes, "find", lambda key, folders: networks.get(key[2]))
    uploads = Uploads({"page_locked_gb_s": 40.0, "pageable_gb_s": 6.0}, H200)
    roofline = fit([Point("whole", HEAVY, H200, 1.0)])
    one = passes.passes_of({"engines": measured()["engines"][:1]}, [], roofline, uploads)[1]
    assert one["canvas"] == "band"
    assert one["upload_ms"] == pytest.approx(uploads.ms(2 * 768 * 96 * 3), abs=1e-3)
    assert one["second_ms"] == one["first_ms"]


def test_a_part_as_small_as_the_4060_checks_the_projection_and_calibrates_nothing() -> None:
    few = [
        {"model": "yolo11n", "precision": "fp16", "canvas": "640", "sms": sms, "graph_ms": ms}
        for sms, ms in ((132, 0.7), (24, 1.2), (8, 1.4))
    ]
    found, without = project(measured(few_sms=few), [ENGINES]), project(measured(), [ENGINES])
    assert "| yolo11n 640 fp16 | 24 | 1.20 |" in table_of(found)
    assert "| 24 |" not in table_of(without)
    (one,) = found.pop("as_small")
    assert without.pop("as_small") == []
    assert found == without
    assert one["sms"] == 24
    assert one["difference_pct"] == pytest.approx(100 * (one["projected_ms"] / 1.2 - 1), abs=0.1)


def engines_that_fit_no_roofline() -> list[dict]:  # type: ignore[type-arg]
    fp16, int8 = measured()["engines"]
    return [fp16, int8, {**fp16, "canvas": "320", "limit_graph_ms": 4.2}, {**int8, "canvas": "320"}]


def test_misfits_of_more_points_than_parameters_show_in_the_error() -> None:
    found = project(measured(engines=engines_that_fit_no_roofline()), [ENGINES])
    misfits = found["calibration"]["misfits_pct"]
    assert misfits.keys() == {f"yolo11n {p} {c}" for p in ("fp16", "int8") for c in ("640", "320")}
    # A quarter of the pixels that takes six times as long fits no roofline.
    assert found["network_error_pct"] == pytest.approx(np.percentile(np.abs(list(misfits.values())), 90), abs=0.1)
    assert found["network_error_pct"] > max(abs(one["error_pct"]) for one in found["known_points"][:1])


def test_misfits_of_no_more_points_than_parameters_are_not_given() -> None:
    found = project(measured(engines=engines_that_fit_no_roofline()[:3]), [ENGINES])
    assert (found["calibration"]["points"], found["calibration"]["misfits_pct"]) == (3, {})
    assert found["network_error_pct"] == abs(found["known_points"][0]["error_pct"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": {"gpu": "Voodoo 2", "uploads": {}}}, "no specifications of 'Voodoo 2'"),
        ({"engines": []}, "no measured times"),
    ],
)
def test_what_cannot_be_projected_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project(measured(**change), [ENGINES])


def test_a_projection_whose_error_nothing_tells_is_refused(tmp_path: Path) -> None:
    for path in ENGINES.glob("yolo11n-640-int8-qdq.*"):
        shutil.copy(path, tmp_path)
    int8 = measured()["engines"][1:]
    with pytest.raises(ValueError, match="nothing tells the error of the network"):
        project(measured(engines=int8), [tmp_path])


def test_a_missing_onnx_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ONNX of yolo11n 640 fp16"):
        project(measured(), [tmp_path])


@pytest.mark.parametrize("spec", [H100, H200])
def test_gpus_are_known_by_the_name_that_cuda_gives(spec: GpuSpec) -> None:
    assert spec_of(spec.name) is spec


@pytest.mark.parametrize("name", ["NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA H200 NVL", "NVIDIA H100 MIG 1g.10gb"])
def test_a_gpu_that_is_only_named_like_a_known_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"no specifications of '{name}'"):
        spec_of(name)
