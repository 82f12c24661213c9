# SPDX-License-Identifier: Apache-2.0
"""The node on a GPU that breaks in service: after some passes the network is told to write where no memory is.

That is a real CUDA error, after which nothing runs on the GPU until the process ends.
"""

import sys

from cone_detector.engine.tensorrt import TensorRtEngine
from cone_detector.node import ConeDetectorNode, main
from cone_detector.ros.session import load_engine

_PASSES = 20
_NO_MEMORY = 4096


def load_and_break(settings):
    engine, reason = load_engine(settings)
    if isinstance(engine, TensorRtEngine):
        breaking(engine)
    return engine, reason


def breaking(engine):
    infer, passes = engine.infer, 0

    def infer_or_break(*arguments):
        nonlocal passes
        passes += 1
        if passes == _PASSES:
            for plan in engine._passes.values():
                # What was captured in a graph keeps its addresses.
                plan.drop_graphs()
                plan._context.set_tensor_address("detections", _NO_MEMORY)
        return infer(*arguments)

    engine.infer = infer_or_break


if __name__ == "__main__":
    sys.exit(main(make_node=lambda: ConeDetectorNode(load_and_break)))
