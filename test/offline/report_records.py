# SPDX-License-Identifier: AGPL-3.0-only
"""A small folder of records as the tools write them, for tests of the report. Their figures are made up."""

import copy
import json

MACHINE = {"cpu": "Test CPU", "cpu_count": 2, "memory_gb": 8.0}
VERSIONS = {"python": "3.11.7", "openvino": "2026.4.1"}


def accuracy():
    """Float and INT8 of one model at 640, on val and on test."""
    files = {
        ("fp32", "onnx"): ("net-640.onnx", {"val": 0.801, "test": 0.836}),
        ("int8", "onnx"): ("net-640-int8-qdq.onnx", {"val": 0.799, "test": 0.831}),
        ("int8", "openvino"): ("net-640-int8-openvino.xml", {"val": 0.797, "test": 0.829}),
    }
    return {
        "models": [
            {
                "name": "net",
                "pass": "640",
                "file": file,
                "precision": precision,
                "runtime": runtime,
                "resolution": 640,
                "split": split,
                "map50": map50,
                "map50_95": round(map50 / 2, 3),
                "precision_at_best_f1": 0.85,
                "recall": 0.76,
                "best_f1_confidence": 0.4,
                "per_class": {
                    "blue_cone": {"map50": map50, "recall": 0.8, "labels": 554},
                    "yellow_cone": {"map50": map50, "recall": 0.7, "labels": 780},
                },
                "by_height": {
                    "under 11 px": {"map50": 0.37, "recall": 0.41, "labels": 532},
                    "45 px and over": {"map50": 0.97, "recall": 0.94, "labels": 85},
                },
                "images": {"val": 116, "test": 280}[split],
                "model_sha256": f"{precision}-{runtime}",
                "data_sha256": f"{split}-data",
                "shipped": True,
                "forced": False,
            }
            for (precision, runtime), (file, splits) in files.items()
            for split, map50 in splits.items()
        ]
    }


def ledger():
    """Two looks at files in use, one at a file that was replaced, one forced."""
    looks = [("fp32-onnx", 0.836, False), ("gone", 0.812, False), ("int8-onnx", 0.831, True)]
    return {
        "entries": [
            {
                "model": f"{sha}.onnx",
                "model_sha256": sha,
                "data_sha256": "test-data",
                "map50": map50,
                "map50_95": 0.41,
                "date": "2026-11-23T06:14:40+00:00",
                "forced": forced,
            }
            for sha, map50, forced in looks
        ]
    }


def gpu():
    """As `cone-tools benchmark` writes it."""
    times = {
        "gpu_graph": 0.412,
        "gpu_compute": 0.31,
        "gpu_upload": 0.06,
        "enqueue": 0.655,
        "host_rows": 0.45,
        "sleeping": 0.48,
        "detector": 0.83,
        "cones": 1.42,
        "paced_detector": 0.97,
    }
    engines = []
    for precision, factor in (("fp16", 1.3), ("int8", 1.0)):
        figures = {f"{name}_ms_p50": round(factor * ms, 4) for name, ms in times.items()}
        figures |= {f"{name}_ms_p99": round(1.4 * factor * ms, 4) for name, ms in times.items()}
        engines.append(
            {
                "model": "net",
                "precision": precision,
                "canvas": "640",
                "runtime": "tensorrt 10",
                "frames": 5000,
                **figures,
                "cpu_share": 0.1,
                "allocations_per_frame": 0.0,
                "limit_graph_ms": 0.4,
                "naive_ms_p50": 4.9,
                "rows": {"within_limits": 0.994, "found": 1.0},
            }
        )
    return {"machine": {"gpu": "NVIDIA Test", "driver": "580", "cpu": "Test CPU"}, "engines": engines}


def car():
    """As `cone-tools projection` writes it."""
    times = {
        "compute_ms": 0.71,
        "upload_ms": 0.12,
        "download_ms": 0.01,
        "gpu_ms": 0.84,
        "host_ms": 0.42,
        "frame_ms": 1.26,
        "cones_ms": 1.85,
    }
    return {
        "simulated": True,
        "gpu": "RTX 4060",
        "measured_on": "NVIDIA Test",
        "engine": "net 640 int8",
        "frame_ms": 1.26,
        "error_pct": 18.4,
        "engines": [{"model": "net", "precision": "int8", "canvas": "640", **times}],
        "known_points": [
            {"name": "YOLO26n FP16", "part": "network", "known_ms": 1.02, "projected_ms": 1.13, "error_pct": 10.8}
        ],
    }


def variant(name, map50, std, technique="none", branch="B", **more):
    """A float variant of three seeds, as the campaign's summary writes it."""
    return {
        "name": name,
        "branch": branch,
        "model": "yolo11n.yaml",
        "technique": technique,
        "technique_settings": None,
        "epochs": 60,
        "seeds": [0, 1, 2] if std is not None else [0],
        "params": 2590000,
        "gflops": 6.4,
        "precision": "fp32",
        "map50_val": map50,
        "map50_val_std": std,
        "resolution": 640,
        "images": 116,
        "latency_ms": 50.0,
        "latency": {"letterbox_ms_p50": 1.1, "inference_ms_p50": 46.5, "nms_ms_p50": 0.9, "machine": "Test CPU"},
        **more,
    }


def halted(name, seed, seen, technique="none", **more):
    """A training that did not end, as the campaign's summary writes it. seen: the trainer's mAP50 after each epoch."""
    return {
        "phase": f"train-{name}-s{seed}",
        "status": "running",
        "reason": "was interrupted",
        "variant": name,
        "branch": "B",
        "model": "yolo11n.yaml",
        "technique": technique,
        "technique_settings": None,
        "seed": seed,
        "epochs": 60,
        "epochs_done": len(seen),
        "map50_val_trainer_by_epoch": seen,
        **more,
    }


def campaign(gate=0.781, decision="B"):
    """Every technique once; the gate pivots."""
    return {
        "gate": {
            "metric": "map50_val",
            "value": gate,
            "variant": "yolo12n",
            "above": 0.82,
            "below": 0.80,
            "decision": decision,
            "evidence": [
                {
                    "run": "yolo12n-s0",
                    "map50": gate,
                    "split": "val",
                    "images": 116,
                    "model_sha256": "a" * 64,
                    "data_sha256": "b" * 64,
                }
            ],
        },
        "chosen": {"variant": "yolo11n", "precision": "fp32"},
        "final_test": None,
        "variants": [
            variant("yolo12n", gate, 0.004, branch="A", model="yolo12n.yaml", latency_ms=70.0),
            variant("yolo11n", 0.770, 0.004),
            variant("yolo11m", 0.830, None, branch="teacher", model="yolo11m.yaml", latency_ms=400.0),
            variant(
                "distilled",
                0.790,
                0.005,
                "distill",
                technique_settings={"kind": "distill", "teacher": "@yolo11m", "logits": 0.25},
            ),
            variant("regnet", 0.771, 0.006, "backbone", model="yolo11n.yaml", gflops=10.7, latency_ms=95.0),
            variant(
                "pruned",
                0.745,
                0.003,
                "prune",
                technique_settings={"kind": "prune", "weights": "@yolo11n", "ratio": 0.4},
                gflops=3.2,
                params=1100000,
                latency_ms=41.0,
                epochs=50,
            ),
        ],
        "unfinished": [],
        "machines": [MACHINE, {"gpu": "NVIDIA Test"}],
        "versions": [VERSIONS],
        "date": "2026-11-23T08:59:00+00:00",
    }


def adaptive():
    """Four policies on one machine; a band is chosen."""

    def policy(cost, rate, map50, far):
        return {
            "cost_ratio": cost,
            "p99_cost_ratio": cost,
            "mean_ms": 23 * cost,
            "p99_ms": 23 * cost,
            "escalation_rate": rate,
            "map50": map50,
            "far_recall": far,
            "near_recall": 0.96,
            "precision": 0.87,
            "map50_loss_pt": round(100 * (0.64 - map50), 2),
            "far_recall_loss_pt": round(100 * (0.523 - far), 2),
            "near_recall_loss_pt": 0.0,
        }

    tried = {
        "fixed 320": policy(0.34, 0.0, 0.42, 0.28),
        "fixed 640": policy(1.0, 0.0, 0.64, 0.523),
        "band, as shipped": policy(0.57, 0.61, 0.665, 0.575),
        "cascade, mean confidence 0.80": policy(1.34, 1.0, 0.64, 0.523),
    }
    chosen, cascade = tried["band, as shipped"], tried["cascade, mean confidence 0.80"]
    return {
        "policy": "band, as shipped",
        **chosen,
        "cascade": cascade,
        "paced": None,
        "model": {"name": "net", "precision": "int8"},
        "data": {"sha256": "c" * 64, "sequences": {"lap": 45, "drive": 30}},
        "versions": VERSIONS,
        "machines": [
            {
                "machine": "Test CPU",
                "break_even_escalation_rate": 0.66,
                "chosen": {"name": "band, as shipped", **chosen},
                "cascade": cascade,
                "tried": tried,
            }
        ],
    }


def cpu():
    """As `cone-replay bench-cpu` writes it."""
    times = {
        "pipeline": 32.5,
        "bare_inference": 29.1,
        "adaptive_pipeline": 23.9,
        "ultralytics": 160.4,
        "ultralytics_all_cores": 98.7,
        "ultralytics_openvino_int8": 32.7,
    }
    return {
        **{f"{name}_ms_p50": ms for name, ms in times.items()},
        **{f"{name}_ms_p99": 1.5 * ms for name, ms in times.items()},
        "pipeline_over_bare_inference": 1.117,
        "speedup_over_ultralytics": 4.94,
        "speedup_over_ultralytics_all_cores": 3.04,
        "speedup_over_ultralytics_openvino_int8": 1.01,
        "adaptive_speedup_over_ultralytics_openvino_int8": 1.37,
        "engine": "net int8, openvino on Test CPU",
        "adaptive_policy": "auto",
        "machine": MACHINE,
        "versions": VERSIONS,
        "date": "2026-11-23T07:09:11+00:00",
    }


def node():
    """As `cone-replay bench-node` writes it."""
    return {
        "seconds": 599.9,
        "pairs_sent": 35958,
        "pairs_lost": 24,
        "total_ms_p50": 5.7,
        "total_ms_p99": 17.1,
        "age_p99_ms_first_minute": 20.6,
        "age_p99_ms_last_minute": 18.7,
        "settings": {"rate_hz": 60.0, "engine_latency_ms": 1.0},
        "machine": MACHINE,
        "versions": VERSIONS,
    }


def node_on_gpu():
    """As `cone-replay run` writes it."""
    stages = {"letterbox": 0.5, "inference": 0.84, "stereo": 0.49, "publish": 1.54, "total": 3.91}
    return {
        "engine": "net int8, tensorrt on a GPU",
        "rate_hz": 60.0,
        "pairs": {"sent": 901, "processed": 901, "dropped": 0},
        "latency_ms": {name: {"p50": ms, "p99": 2 * ms} for name, ms in stages.items()},
        "machine": MACHINE,
        "versions": VERSIONS,
    }


def stereo():
    """As `cone-tools stereo` writes it."""

    def depth(error):
        return {"cones": 156, "median_error_pct": error, "p95_error_pct": 4 * error, "standard_deviation_m": error / 8}

    return {
        "depth": {"5": depth(0.29), "15": depth(0.38)},
        "depth_of_box_centres": {"5": depth(1.44), "15": depth(5.59)},
        "coverage_95": 0.9824,
        "ms_10_cones": 1.1,
        "ms_100_cones": 3.2,
        "boxes": "net int8",
        "scenes": "100 pairs, seed 2026",
        "timing": "CPU time, one core",
        "machine": MACHINE,
        "versions": VERSIONS,
    }


def sensitivity():
    """As `cone-tools sensitivity` writes it."""
    return {
        "file": "net-640-int8-qdq.onnx",
        "split": "val",
        "every": 2,
        "map50_float": 0.717,
        "map50_int8": 0.721,
        "parts": [
            {"part": "0", "convolutions": 1, "map50": 0.72, "loss_pt": -0.23},
            {"part": "6", "convolutions": 9, "map50": 0.712, "loss_pt": 0.49},
        ],
    }


def data_check():
    """As `cone-tools data check --json` writes it."""
    return {
        "name": "cones",
        "images": {"train": 1399, "val": 116, "test": 280},
        "boxes": {
            split: {"blue_cone": 500, "unknown_cone": 0, "yellow_cone": 700} for split in ("train", "val", "test")
        },
        "faults": {},
        "near_twins": [{"split": "val", "like": "train", "images": 45}],
        "clean": True,
    }


def adaptive_on_the_car():
    """The same policies at projected costs."""
    record = adaptive()
    record["machines"][0] |= {"machine": "RTX 4060, simulated", "error_pct": 17.1}
    return record


def policy_test():
    """A look at a policy that is in nobody's ledger here."""
    figures = {"map50": 0.738, "map50_95": 0.374, "recall_far": 0.741, "recall_near": 0.877, "precision": 0.527}
    return {"policies": [{"passes": ["320", "band"], **figures, "policy_sha256": "another policy"}]}


WRITERS = {
    "accuracy.json": accuracy,
    "test_ledger.json": ledger,
    "h200.json": gpu,
    "rtx4060.json": car,
    "campaign.json": campaign,
    "adaptive.json": adaptive,
    "adaptive_nvidia-geforce-rtx-4060-simulated.json": adaptive_on_the_car,
    "cpu_pipeline.json": cpu,
    "node_60hz.json": node,
    "node_h200.json": node_on_gpu,
    "stereo.json": stereo,
    "sensitivity.json": sensitivity,
    "data_check.json": data_check,
    "policy_test.json": policy_test,
}
_EPOCHS = """epoch, metrics/mAP50(B), metrics/mAP50-95(B)
1,0.501,0.25
2,0.753,0.392
"""


def write_records(folder, without=(), **changed):
    """Writes all records but `without`. changed: other contents, by file name without ending."""
    (folder / "training").mkdir(parents=True)
    for name, writer in WRITERS.items():
        if name not in without:
            content = copy.deepcopy(changed.get(name.removesuffix(".json"), writer()))
            (folder / name).write_text(json.dumps(content))
    stage = {"seconds": 413.8, "device": "NVIDIA Test", "versions": VERSIONS, "settings": {"imgsz": 640}}
    (folder / "training" / "run.json").write_text(json.dumps(stage))
    (folder / "training" / "run.csv").write_text(_EPOCHS)
    return folder
