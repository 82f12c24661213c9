# SPDX-License-Identifier: AGPL-3.0-only
"""A campaign's folder as one small file, to go on with on another machine."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection
from pathlib import Path

from offline_tools.campaign.phase import CampaignError
from offline_tools.campaign.records import FIGURES, LOG, RECORD, read_record

_ALWAYS = (RECORD, FIGURES, LOG, "config.yaml", "*/results.csv", "*/args.yaml", "*/stage.json")


def pack(root: Path, file: Path, names: Collection[str]) -> int:
    """Writes records, logs and outputs of the phases `names` to a tar file; returns how many files it holds.

    Of phases that have not finished only what is read, not their weights. The campaign may be running meanwhile.
    Raises CampaignError where none of them has begun.
    """
    folders = sorted(path.parent for path in (root / "phases").glob(f"*/{RECORD}") if path.parent.name in names)
    if not folders:
        raise CampaignError(f"{root} holds nothing of these phases: nothing to pack")
    paths = [root / "history.jsonl"] if (root / "history.jsonl").exists() else []
    for folder in folders:
        paths += _files(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    with tarfile.open(temporary, "w") as archive:
        for path in paths:
            archive.add(path, Path(root.name) / path.relative_to(root))
    os.replace(temporary, file)
    return len(paths)


def _files(folder: Path) -> list[Path]:
    record = read_record(folder)
    found = {path for pattern in _ALWAYS for path in folder.glob(pattern)}
    if record is not None and record.status == "done":
        found |= {folder / name for name in record.outputs}
    return sorted(path for path in found if path.is_file())
