# SPDX-License-Identifier: Apache-2.0
"""Where the package's own files lie, installed by colcon or pip, or in a checkout."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def shared(folder: str) -> Path:
    """The package's folder `engines` or `config`; the checkout's where the package runs from one.

    The path is returned also where nothing is there: whoever reads it says what is missing.
    """
    places = [_CHECKOUT / folder] if (_CHECKOUT / "package.xml").is_file() else []
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        pass
    else:
        with suppress(PackageNotFoundError):
            places.append(Path(get_package_share_directory("cone_detector")) / folder)
    places.append(Path(sys.prefix) / "share" / "cone_detector" / folder)
    return next((place for place in places if place.is_dir()), places[-1])
