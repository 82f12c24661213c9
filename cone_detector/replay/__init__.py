# SPDX-License-Identifier: Apache-2.0
"""Bags of stereo images, and what the detector makes of them: replay through ROS or directly, reports, comparisons."""
