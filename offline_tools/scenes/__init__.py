# SPDX-License-Identifier: AGPL-3.0-only
"""Synthetic stereo scenes of Formula Student tracks with exact boxes, 3D positions and disparities."""
