# SPDX-License-Identifier: Apache-2.0
"""The five cone classes, in the FSOCO-12 order that every label, engine and message uses."""

CLASS_NAMES = ("blue_cone", "large_orange_cone", "orange_cone", "unknown_cone", "yellow_cone")

# What a cone looks like, for pictures and markers: 8-bit BGR.
CLASS_COLOURS_BGR = (
    (255, 80, 0),
    (0, 60, 230),
    (0, 140, 255),
    (160, 160, 160),
    (0, 230, 255),
)

# Height of the cone's body in metres: Formula Student rules handbook, "track cones":
# small cones 228 x 228 x 325 mm, large orange cones 285 x 285 x 505 mm. An unknown cone is taken for a small one.
CLASS_HEIGHTS_M = (0.325, 0.505, 0.325, 0.325, 0.325)
