# SPDX-License-Identifier: AGPL-3.0-only
"""Makes the helpers beside the offline tests importable, and torch quick on a machine that others use too."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Small networks gain nothing from threads, and threads that wait for each other on busy cores cost tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")
