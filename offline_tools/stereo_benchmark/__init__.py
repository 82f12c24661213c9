# SPDX-License-Identifier: AGPL-3.0-only
"""How well and how fast cones are located: the car's own detector against scenes with exact truth."""
