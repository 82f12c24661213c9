# SPDX-License-Identifier: AGPL-3.0-only
"""The campaign's report, in the order of a paper, as one HTML file and as PDF.

It holds nothing but what records say: each figure knows its file, its key and whether it was measured, simulated or
quoted. What no record holds is named as missing, with the command that makes it.

  cone-tools report                                        of docs/benchmarks, to docs/report
  cone-tools report --campaign runs/campaigns/full         with that campaign's campaign.json
"""

from __future__ import annotations

import argparse
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from offline_tools.datasets.guard import DEFAULT_REGISTRY
from offline_tools.report.archive import Archive
from offline_tools.report.document import Document
from offline_tools.report.html import to_html
from offline_tools.report.paper import write
from offline_tools.report.pdf import to_pdf
from offline_tools.report.records import RecordError

_ROOT = Path(__file__).resolve().parents[2]
RECORDS = _ROOT / "docs" / "benchmarks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to `parser`."""
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of records (%(default)s)")
    parser.add_argument(
        "--campaign",
        type=Path,
        metavar="FOLDER",
        help="a campaign's folder, whose campaign.json goes before that of --records",
    )
    parser.add_argument("--output", type=Path, default=_ROOT / "docs" / "report", help="folder to write (%(default)s)")
    parser.add_argument("--format", choices=("html", "pdf", "both"), default="both", help="(%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Carries the command out; returns the exit code."""
    campaign = find_campaign(args.campaign) if args.campaign else None
    archive = Archive.read(args.records, DEFAULT_REGISTRY, campaign)
    when = datetime.now(timezone.utc)
    document = write(archive, when, _commit())
    args.output.mkdir(parents=True, exist_ok=True)
    if args.format in ("html", "both"):
        _write(args.output / "report.html", to_html(document).encode())
    if args.format in ("pdf", "both"):
        _write(args.output / "report.pdf", to_pdf(document, when))
    _say(document)
    return 0


def find_campaign(folder: Path) -> Path:
    """The campaign.json of a campaign's folder, the newest. Raises RecordError where there is none."""
    found = sorted(folder.rglob("campaign.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RecordError(f"{folder} holds no campaign.json: finish its phase `report` first")
    return found[-1]


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(file)
    print(f"{file}: {len(content) / 1e3:.0f} kB")


def _say(document: Document) -> None:
    print(f"{len(document.values())} figures, each found again in its record")
    for missing in document.missing():
        print(f"missing: {missing.what}: {missing.command}")


def _commit() -> str:
    """The commit that the tool was run from, with a plus sign where files differ from it; empty outside a clone."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
