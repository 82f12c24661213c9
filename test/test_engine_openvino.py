# SPDX-License-Identifier: Apache-2.0
"""The CPU's engine refuses what does not belong together before it opens a network."""

from dataclasses import replace
from pathlib import Path

import pytest
from engines import write_engines

from cone_detector.engine.manifest import REBUILD_COMMAND, ManifestError, read_manifest, write_manifest
from cone_detector.engine.openvino import OpenVinoEngine


def test_networks_of_different_canvases_are_refused_with_the_command_that_rebuilds_them(tmp_path: Path) -> None:
    paths = sorted(write_engines(tmp_path).glob("*.json"))
    manifest = read_manifest(paths[1])
    write_manifest(paths[1], replace(manifest, canvas=(640, 416), network=(640, 416)))
    with pytest.raises(ManifestError, match=rf"\(640, 384\), \(640, 416\).*run `{REBUILD_COMMAND}`"):
        OpenVinoEngine(paths, slots=1)
