# SPDX-License-Identifier: Apache-2.0
"""Stereo: boxes of two images matched, their disparity refined below a pixel, cones located with their covariance."""
