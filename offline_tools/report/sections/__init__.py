# SPDX-License-Identifier: AGPL-3.0-only
"""The report's sections, one file each: every sentence with a figure takes it from a record."""
