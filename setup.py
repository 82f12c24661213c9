# SPDX-License-Identifier: Apache-2.0
"""One description of the package for pip and for colcon (ament_python)."""

from glob import glob
from os.path import dirname, isfile

from setuptools import find_packages, setup

NAME = "cone_detector"
SHARE = f"share/{NAME}"


def files(pattern):
    return sorted(path for path in glob(pattern) if isfile(path))


def tree(folder):
    """A data_files entry for every folder of files below `folder`."""
    found = (path for path in glob(f"{folder}/**", recursive=True) if isfile(path))
    folders = sorted({dirname(path) for path in found if "__pycache__" not in path})
    return [(f"{SHARE}/{path}", files(f"{path}/*")) for path in folders]


setup(
    name=NAME,
    version="0.1.0",
    description="Stereo cone detection for Formula Student driverless cars: a ROS 2 node, offline tools",
    license="Apache-2.0 AND AGPL-3.0-only",
    license_files=["LICENSE", "offline_tools/LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["cone_detector", "cone_detector.*", "offline_tools", "offline_tools.*"]),
    package_data={
        "cone_detector": ["interfaces/*.txt", "interfaces/*.cmake", "interfaces/*_msgs/*", "interfaces/*_msgs/msg/*"],
        "offline_tools": ["LICENSE", "**/*.yaml", "**/*.css", "**/*.typ"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"{NAME}/resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        *tree("config"),
        *tree("engines"),
        *tree("launch"),
        # `ros2 run` looks in lib/PACKAGE, pip and colcon write console scripts to bin: these lead from one to
        # the other.
        (f"lib/{NAME}", files(f"{NAME}/resource/lib/*")),
    ],
    # NumPy, OpenCV and the rest: rosdep keys in package.xml (the car), config/requirements/ (a bare machine).
    install_requires=[],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "cone_detector_node = cone_detector.node:main",
            "cone-replay = cone_detector.replay.cli:main",
            "cone-monitor = cone_detector.monitor:main",
            "cone-bag = cone_detector.replay.bag_cli:main",
            "cone-tools = offline_tools.cli:main",
        ]
    },
)
