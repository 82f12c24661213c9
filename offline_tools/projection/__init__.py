# SPDX-License-Identifier: AGPL-3.0-only
"""What the car's RTX 4060 would take, calculated from measurements on another GPU; simulated, never measured."""

from offline_tools.projection.command import add_arguments, run

__all__ = ["add_arguments", "run"]
