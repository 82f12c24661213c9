# SPDX-License-Identifier: AGPL-3.0-only
"""Offline tools: from labelled frames to engines. They build on ultralytics, so they are AGPL-3.0."""
