# SPDX-License-Identifier: AGPL-3.0-only
"""TensorRT plans for this machine's GPU, from the ONNX files that the project ships."""

from offline_tools.build.command import add_arguments, run

__all__ = ["add_arguments", "run"]
