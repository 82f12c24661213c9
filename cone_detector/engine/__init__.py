# SPDX-License-Identifier: Apache-2.0
"""Engines: one contract (`contract`), one file a runtime, a manifest beside each engine file."""
