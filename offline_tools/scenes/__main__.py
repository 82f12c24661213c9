# SPDX-License-Identifier: AGPL-3.0-only
"""`python -m offline_tools.scenes`."""

import sys

from offline_tools.scenes.command import main

sys.exit(main())
