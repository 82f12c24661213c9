# SPDX-License-Identifier: AGPL-3.0-only
"""Charts as SVG: each takes figures with sources, and colours, and returns the drawing's text."""
