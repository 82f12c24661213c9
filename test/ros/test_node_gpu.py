# SPDX-License-Identifier: Apache-2.0
"""The node on a real GPU: it serves from there, and where the GPU fails under it the CPU goes on."""

import math
from pathlib import Path

import pytest
from gpu_plans import both_passes, gpu_marks, plans_folder
from harness import NodeProcess, blank_image, values_of

from cone_detector.engine import cuda

pytestmark = gpu_marks()

NODE = str(Path(__file__).with_name("failing_node.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = plans_folder(tmp_path_factory)
    both_passes(folder)
    return folder


def test_the_node_serves_from_the_gpu_and_tells_the_gpus_own_times(folder, rig):
    with NodeProcess(**{"engine.directory": folder, "policy.name": "fixed_640"}) as node:
        rig.meet(node)
        status = rig.status_while(
            lambda: rig.publish_pair(blank_image(), blank_image()), "inference", lambda s: s.level == s.OK
        )
        values = values_of(status)
        assert values["device"] == cuda.device().name
        assert values["runtime"].startswith("tensorrt")
        (latency,) = rig.answers(rig.publish_pair(blank_image(), blank_image()), "latency")
        times = values_of(latency.status[0])
        for part in ("upload_ms", "compute_ms", "download_ms"):
            assert 0 < float(times[part]) < math.inf, part
        assert node.stop() == 0


def test_a_cuda_error_in_service_is_reported_and_the_cpu_goes_on(folder, rig):
    with NodeProcess((NODE, "cuda"), **{"engine.directory": folder}) as node:
        rig.meet(node)

        def send():
            return rig.publish_pair(blank_image(), blank_image())

        status = rig.status_while(send, "inference", lambda s: "went on with" in s.message)
        assert status.level == status.WARN
        values = values_of(status)
        assert values["runtime"] in ("openvino", "onnx")
        assert values["device"].startswith("CPU")
        assert "cudaErrorIllegalAddress" in values["recovery"]
        assert "cudaErrorIllegalAddress" in node.log
        assert int(values["faults frame"]) > 0
        rig.until_answered(send, "detections/left", "detections/right")
        assert node.stop() == 0
