# SPDX-License-Identifier: AGPL-3.0-only
"""What the phases do: each module has `VERSION`, raised when its results change, and `run(job)`.

`run` leaves the phase's outputs in `job.folder` and returns the figures for its record.
"""
