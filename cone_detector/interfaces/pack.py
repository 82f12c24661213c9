# SPDX-License-Identifier: Apache-2.0
"""Lay out an installed interface package as a source tree that setuptools packs into a wheel.

Run by build.py with the Python of its build environment: `pack.py PACKAGE INSTALL_PREFIX STAGE`.
"""

import shutil
import sys
from pathlib import Path

# Written by CMake, but of use to CMake or to a shell only, or holding paths of this machine.
LEFT_OUT = (
    "cmake",
    "environment",
    "local_setup.*",
    "package.*sh",
    "package.dsv",
    "parent_prefix_path",
    "*.c",
    "*.pyc",
)

SETUP = """
from glob import glob
from setuptools import Distribution, setup
from pathlib import Path


class Binary(Distribution):
    def has_ext_modules(self):
        return True


folders = sorted({{str(path.parent) for path in Path("share").rglob("*") if path.is_file()}})
setup(
    name="{name}",
    version="{version}",
    license="Apache-2.0",
    packages=["{name}", "{name}.msg"],
    package_data={{"{name}": ["*.so"]}},
    data_files=[("lib", sorted(glob("lib/*.so")))]
    + [(folder, sorted(str(p) for p in Path(folder).iterdir() if p.is_file())) for folder in folders],
    distclass=Binary,
)
"""


def main(name: str, install: Path, stage: Path) -> None:
    """Copy what Python needs from `install` to `stage` and write its setup.py."""
    package = next(install.glob(f"lib/python*/site-packages/{name}"))
    shutil.copytree(package, stage / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copytree(install / "share", stage / "share", ignore=shutil.ignore_patterns(*LEFT_OUT))
    (stage / "lib").mkdir()
    for library in install.glob("lib/*.so"):
        shutil.copy2(library, stage / "lib")
    version = next(package.parent.glob(f"{name}-*.egg-info")).name.split("-")[1]
    (stage / "setup.py").write_text(SETUP.format(name=name, version=version))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
