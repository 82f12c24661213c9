# SPDX-License-Identifier: Apache-2.0
"""`python -m cone_detector.interfaces`."""

import sys

from cone_detector.interfaces.build import main

sys.exit(main())
