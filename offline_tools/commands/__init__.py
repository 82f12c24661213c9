# SPDX-License-Identifier: AGPL-3.0-only
"""The model's commands of `cone-tools`: each module parses its options and calls; the work is done elsewhere."""
