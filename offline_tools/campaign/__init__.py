# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign: from a dataset to a decided, measured, reported engine, in phases that survive a kill."""
