# SPDX-License-Identifier: AGPL-3.0-only
"""What each TensorRT plan costs on this GPU, beside what a user would otherwise run."""

from offline_tools.benchmark.command import add_arguments, run

__all__ = ["add_arguments", "run"]
