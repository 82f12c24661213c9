# SPDX-License-Identifier: Apache-2.0
"""What the documentation points at exists: files, headings, commands, targets, modules, parameters, arguments."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from cone_detector.settings import BY_NAME

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docs/benchmarks/README.md"]
ARGUMENTS = {"use_sim_time", "config", "namespace", "remap", "log_level", "fastdds_profile"}
ARGUMENTS |= {"bag", "rate", "seconds", "output"}
# Arguments of the camera driver's launch file.
FOREIGN_ARGUMENTS = {"camera_model", "ros_params_override_path"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_page
def test_commands_exist(page):
    text = page.read_text()
    scripts = set(re.findall(r'"([\w-]+) = [\w.]+:\w+"', (ROOT / "setup.py").read_text()))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\b(cone-[a-z]+)\b", text)) <= scripts
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    for module in re.findall(r"python3? -m ((?:cone_detector|offline_tools)[\w.]*)", text):
        assert find_spec(module), module


@every_page
def test_parameters_and_arguments_exist(page):
    text = page.read_text()
    given = set(re.findall(r"(?<![\w/:])([a-z_][\w.]*):=", text))
    assert given <= set(BY_NAME) | ARGUMENTS | FOREIGN_ARGUMENTS
    groups = {name.partition(".")[0] for name in BY_NAME if "." in name}
    named = {name for name in re.findall(r"`([a-z]+\.[a-z_0-9]+)`", text) if name.partition(".")[0] in groups}
    assert named <= set(BY_NAME)


def test_every_status_is_documented():
    documented = set(re.findall(r"^## cone_detector: (\w+)$", (ROOT / "docs/diagnostics.md").read_text(), re.MULTILINE))
    source = (ROOT / "cone_detector/ros/diagnostics.py").read_text()
    published = set(re.findall(r'return "(\w+)", (?:OK|WARN|ERROR|STALE),', source))
    assert published
    assert published == documented


def test_every_latency_key_of_a_stage_is_documented():
    from cone_detector.latency import STAGES

    text = (ROOT / "docs/latency.md").read_text()
    for stage in (*STAGES, "age", "skew", "upload", "compute", "download"):
        assert f"`{stage}_ms`" in text


@pytest.mark.parametrize("name", ["README.md", "docs/latency.md", "docs/stereo.md", "docs/benchmarks/README.md"])
def test_figures_are_those_of_the_records(name):
    from cone_detector.replay.figures import pages

    assert (ROOT / name).read_text() == pages(ROOT)[ROOT / name], "run `make figures`"


def test_each_record_is_described_in_the_index():
    rows = [
        line.split("|") for line in (ROOT / "docs/benchmarks/README.md").read_text().splitlines() if ".json)" in line
    ]
    assert rows
    assert [name for _, name, what, command, *_ in rows if not (what.strip() and command.strip())] == []
