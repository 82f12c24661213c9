# SPDX-License-Identifier: AGPL-3.0-only
"""Small campaigns for tests."""
