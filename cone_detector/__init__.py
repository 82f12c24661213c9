# SPDX-License-Identifier: Apache-2.0
"""Cone detection for Formula Student: stereo images in, cones out.

Data flows one way: frames, pairing, letterbox, engine, adaptive, stereo, messages.
"""

__version__ = "0.1.0"
