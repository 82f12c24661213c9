# SPDX-License-Identifier: AGPL-3.0-only
"""Makes the helpers beside the offline tests importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
