# SPDX-License-Identifier: Apache-2.0
"""The node with an engine that breaks in service, as a GPU does: after some passes each further one fails.

Argument: "once", and an engine made anew works; "lost", and only one that is asked for on the CPU does; "hang", and the
pass never ends; or "full", and only one that is asked for on the CPU can be opened at all. On a real GPU also "cuda":
the network is told to write where no memory is, after which nothing runs on the GPU until the process ends.
"""

import sys
import threading

from cone_detector.engine.contract import EngineError
from cone_detector.node import ConeDetectorNode, main
from cone_detector.ros.session import load_engine

_PASSES = 20
_NO_MEMORY = 4096


class Loader:
    def __init__(self, kind):
        self._kind = kind
        self._loads = 0

    def __call__(self, settings):
        self._loads += 1
        if settings["engine.runtime"] != "openvino":
            if self._loads > 1 and self._kind == "lost":
                raise EngineError("cudaMemGetInfo: cudaErrorIllegalAddress")
            if self._kind == "full":
                raise EngineError("640.plan cannot start: most often the GPU's memory is full")
        engine, choice = load_engine(settings)
        if self._loads == 1:
            breaking(engine, self._kind)
        return engine, choice


def breaking(engine, kind):
    infer, passes = engine.infer, 0

    def infer_or_fail(*arguments):
        nonlocal passes
        passes += 1
        if passes > _PASSES:
            if kind == "hang":
                print("from here on it hangs", flush=True)
                threading.Event().wait()
            if kind != "cuda":
                raise EngineError("pass 640 failed on the GPU")
            write_nowhere(engine)
        return infer(*arguments)

    engine.infer = infer_or_fail


def write_nowhere(engine):
    for plan in engine._passes.values():
        # What was captured in a graph keeps its addresses.
        plan.drop_graphs()
        plan._context.set_tensor_address("detections", _NO_MEMORY)


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    sys.exit(main(make_node=lambda: ConeDetectorNode(Loader(kind))))
