# SPDX-License-Identifier: AGPL-3.0-only
"""`python -m offline_tools.stereo_benchmark`."""

from offline_tools.stereo_benchmark.command import main

raise SystemExit(main())
