# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign's report, in the order of a paper: every figure in it knows the record that it comes from."""
