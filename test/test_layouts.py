# SPDX-License-Identifier: Apache-2.0
"""The layouts for Foxglove and PlotJuggler show what the node publishes, in terms that the programs' own code reads."""

import json
import re
import xml.etree.ElementTree as ElementTree
from math import cos, radians, sin
from pathlib import Path
from types import SimpleNamespace

import pytest

from cone_detector.latency import STAGES
from cone_detector.ros.outputs import FrameReport, latency_values

ROOT = Path(__file__).resolve().parent.parent
LAYOUT = json.loads((ROOT / "config/foxglove_layout.json").read_text())
PANELS = LAYOUT["configById"]
# Published topics and their types; a test of its own keeps the page current.
TABLE = (ROOT / "docs/reference.md").read_text().partition("## Published topics")[2].partition("\n## ")[0]
PUBLISHED = {"/" + name.lstrip("/"): kind for name, kind in re.findall(r"^\| `(\S+)` \| (\S+) \|", TABLE, re.MULTILINE)}

PLOT_KEYS = (
    "foxglovePanelTitle lichtblickPanelTitle paths minYValue showLegend legendDisplay showPlotValuesInLegend "
    "showXAxisLabels showYAxisLabels isSynced xAxisVal yAxisLabel followingViewWidth sidebarDimension"
)
SCENE_KEYS = "followTf followMode scene cameraState topics layers transforms publish imageMode"
# What the programs read of each panel; they ignore any other key without a word.
KNOWN = {
    "Image": SCENE_KEYS,
    "3D": SCENE_KEYS,
    "Plot": PLOT_KEYS,
    "StateTransitions": "foxglovePanelTitle lichtblickPanelTitle isSynced xAxisRange paths",
    "DiagnosticSummary": "minLevel pinnedIds topicToRender hardwareIdFilter sortByLevel secondsUntilStale",
    "Tab": "activeTabIdx tabs",
}
MESSAGE_PATH = re.compile(r'(/[\w/]+)\.status\[0\]\.values\[:\]\{key=="(\w+)"\}\.value')
PLOTS = [panel for panel in PANELS if "paths" in PANELS[panel]]


def kind_of(panel):
    return panel.partition("!")[0]


def panels_in(node):
    """Panels below a node of the layout, in the order of the tree; those in tabs too."""
    if not isinstance(node, str):
        return panels_in(node["first"]) + panels_in(node["second"])
    tabs = PANELS.get(node, {}).get("tabs", [])
    return [node, *(panel for tab in tabs for panel in panels_in(tab["layout"]))]


def latency_keys():
    step = SimpleNamespace(name="", reason="")
    result = SimpleNamespace(
        ms={}, steps=[step], escalated=False, evidence=None, forbidden="", detections=("", ""), cones=None,
        no_cones_reason="", device="", times=SimpleNamespace(upload_ms=0.0, compute_ms=0.0, download_ms=0.0),
    )  # fmt: skip
    counts = SimpleNamespace(paired=0, dropped=0, unpaired=(0, 0))
    return set(latency_values(FrameReport(result, 0.0, 0.0, counts, "")))


def test_foxglove_places_each_configured_panel_once():
    assert sorted(panels_in(LAYOUT["layout"])) == sorted(PANELS)
    assert LAYOUT["playbackConfig"]["speed"]


@pytest.mark.parametrize("panel", PANELS)
def test_foxglove_panels_are_configured_by_known_keys(panel):
    assert set(PANELS[panel]) <= set(KNOWN[kind_of(panel)].split())


@pytest.mark.parametrize("panel", PLOTS)
def test_foxglove_plots_what_the_node_publishes(panel):
    for path in PANELS[panel]["paths"]:
        topic, key = MESSAGE_PATH.fullmatch(path["value"]).groups()
        assert PUBLISHED[topic] == "diagnostic_msgs/msg/DiagnosticArray"
        assert key in latency_keys()
        # Stamps of another clock lie outside the window.
        assert path["timestampMethod"] == "receiveTime"


def test_foxglove_gives_a_stage_one_colour_in_all_plots():
    paths = [path for panel in PLOTS if kind_of(panel) == "Plot" for path in PANELS[panel]["paths"]]
    colours = {(path["label"], path["color"]) for path in paths if path["label"] not in ("dropped", "unpaired")}
    assert len(colours) == len({label for label, _ in colours}) == len({colour for _, colour in colours})


def test_foxglove_has_each_plot_twice_for_everything_and_for_the_last_seconds():
    everything, live = (panels_in(tab["layout"]) for tab in PANELS["Tab!plots"]["tabs"])
    assert sorted(everything + live) == sorted(PLOTS)
    for whole, last in zip(everything, live, strict=True):
        window = {"Plot": "followingViewWidth", "StateTransitions": "xAxisRange"}[kind_of(whole)]
        assert PANELS[last] == {**PANELS[whole], window: 30}
        # A recording that is played does not move the window, so nothing would be seen in it.
        assert window not in PANELS[whole]
    assert PANELS["Tab!plots"]["activeTabIdx"] == 0


@pytest.mark.parametrize("panel", PLOTS)
def test_foxglove_leaves_the_plots_their_window(panel):
    # State transitions that are synced only ever widen the time that all plots show.
    assert PANELS[panel]["isSynced"] is (kind_of(panel) == "Plot")


@pytest.mark.parametrize("panel", ["Image!annotated", "3D!car", "3D!camera"])
def test_foxglove_scenes_know_the_transforms_of_the_recording_from_the_start(panel):
    # A panel that is opened later, as in a tab, never hears /tf_static otherwise.
    assert PANELS[panel]["scene"]["transforms"]["enablePreloading"]


def test_foxglove_scenes_show_topics_of_their_kind():
    for panel in ("3D!car", "3D!camera"):
        assert {PUBLISHED[topic] for topic in PANELS[panel]["topics"]} == {
            "visualization_msgs/msg/MarkerArray",
            "sensor_msgs/msg/PointCloud2",
        }
    assert PUBLISHED[PANELS["Image!annotated"]["imageMode"]["imageTopic"]] == "sensor_msgs/msg/Image"
    assert PUBLISHED[PANELS["DiagnosticSummary!health"]["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"


@pytest.mark.parametrize(
    ("panel", "up", "forward"), [("3D!car", (0, 0, 1), (1, 0, 0)), ("3D!camera", (0, -1, 0), (0, 0, 1))]
)
def test_foxglove_looks_at_the_cones_upright_from_above_and_behind(panel, up, forward):
    state = PANELS[panel]["cameraState"]
    phi, theta = radians(state["phi"]), -radians(state["thetaOffset"])
    # The program turns its camera, whose own up is y and back is z, by phi about x and then by theta about z.
    picture_up = (-sin(theta) * cos(phi), cos(theta) * cos(phi), sin(phi))
    back = (sin(theta) * sin(phi), -cos(theta) * sin(phi), cos(phi))

    def along(one, other):
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert along(picture_up, up) > 0.3
    assert along(back, up) > 0.3
    assert along(back, forward) < -0.3
    assert along(state["targetOffset"], forward) > 0


def test_plotjuggler_shows_the_plot_topics_and_subscribes_to_them():
    root = ElementTree.parse(ROOT / "config/plotjuggler_layout.xml").getroot()
    # Releases before 3.17 find curves at this depth only.
    curves = root.findall("tabbed_widget/Tab/Container/DockSplitter/DockArea/plot/curve")
    assert len(curves) == len(list(root.iter("curve")))
    drawn = {curve.get("name") for curve in curves}
    topics = {topic for topic, kind in PUBLISHED.items() if kind == "std_msgs/msg/Float32"}
    stages = {f"/latency/cone_detector: latency/{stage}_ms" for stage in STAGES if stage != "total"}
    # PlotJuggler's names: a field of a message; of diagnostics the status's name and key, as no hardware is named.
    assert drawn == {f"{topic}/data" for topic in topics} | stages

    subscriber = root.find("Plugins/plugin")
    assert subscriber.get("ID") == root.find("previouslyLoaded_Streamer").get("name") == "ROS2 Topic Subscriber"
    assert set(subscriber.find("selected_topics").get("value").split(";")) == topics | {"/latency"}
    # One that is absent is read as false or 0.
    assert {setting.tag for setting in subscriber} == {
        "use_header_stamp", "discard_large_arrays", "max_array_size", "boolean_strings_to_number",
        "remove_suffix_from_strings", "selected_topics",
    }  # fmt: skip


def test_plotjuggler_splitters_have_as_many_parts_as_they_say():
    root = ElementTree.parse(ROOT / "config/plotjuggler_layout.xml").getroot()
    for splitter in root.iter("DockSplitter"):
        assert int(splitter.get("count")) == len(splitter) == len(splitter.get("sizes").split(";"))
