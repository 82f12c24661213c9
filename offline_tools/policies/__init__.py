# SPDX-License-Identifier: AGPL-3.0-only
"""Tuning of the adaptive settings: labelled sequences, replayed through the car's own detector, against cost."""
