# SPDX-License-Identifier: Apache-2.0
"""Builds the Python `vision_msgs` on a machine whose Python and compiler come without ROS packages."""
