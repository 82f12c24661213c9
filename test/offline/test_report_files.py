# SPDX-License-Identifier: AGPL-3.0-only
"""The written files: HTML that needs nothing else, opened in a real browser; PDF without any browser."""

import json
import re
import shutil
import subprocess
from datetime import datetime, timezone
from html.parser import HTMLParser

import pytest
from report_records import write_records

from offline_tools.report.archive import Archive
from offline_tools.report.html import to_html
from offline_tools.report.layout import lay_out
from offline_tools.report.paper import write
from offline_tools.report.pdf import to_pdf

WHEN = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser is installed: apt install chromium-headless-shell, or one of {BROWSERS[1:]}"
)
VOID = {"meta", "link", "br", "img", "hr", "input"}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return write(Archive.read(write_records(tmp_path_factory.mktemp("report") / "records")), WHEN, "0123456789ab")


@pytest.fixture(scope="module")
def page(document, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(to_html(document))
    return file


class Reader(HTMLParser):
    """Collects numbers that stand in no element which says where they come from, and all addresses."""

    # Classes of what says where it comes from: figures, words of records, citations, the file's own head.
    NAMED = frozenset(("v", "label", "cite", "made", "references"))

    def __init__(self):
        super().__init__()
        self.open, self.bare, self.addresses, self.anchors, self.tags, self.values = [], [], [], set(), [], 0

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        classes = found.get("class", "").split()
        if "v" in classes:
            self.values += 1
            assert re.match(r"(measured|simulated|quoted|target)", found["title"]), found
        known = bool({"v", "label", "cite", "made", "references"} & set(classes)) or tag in (
            "code",
            "svg",
            "style",
            "nav",
            "title",
        )
        self.addresses += [found[key] for key in ("href", "src") if key in found]
        self.anchors |= {found["id"]} if "id" in found else set()
        if tag not in VOID:
            self.open.append((tag, known))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not any(known for _, known in self.open):
            self.bare += re.findall(r"(?<![\w.-])[-−+]?\d+[.,]\d+(?!\w)|\d+(?:\.\d+)?\s?(?:ms|%|×)", data)


def test_no_number_stands_outside_of_a_figure_with_a_source(document, page):
    reader = Reader()
    reader.feed(page.read_text())
    assert reader.open == []
    assert reader.values > 300
    # Left are the sections' own numbers and the name "IoU 0.5".
    assert set(reader.bare) <= {laid.number for laid in lay_out(document)} | {"0.5"}


def test_the_page_needs_nothing_but_itself(page):
    reader = Reader()
    reader.feed(page.read_text())
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert "@import" not in page.read_text()
    assert "url(" not in page.read_text()
    outside = [address for address in reader.addresses if not address.startswith("#")]
    assert all(address.startswith("https://") for address in outside)  # references to read, not to load
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= reader.anchors


PROBE = """<script>
addEventListener("load", () => {
  const box = element => element.getBoundingClientRect();
  const all = selector => [...document.querySelectorAll(selector)];
  const beyond = (text, svg) => text.left < svg.left - 1 || text.right > svg.right + 1 || text.bottom > svg.bottom + 1;
  const words = all("svg").flatMap(svg => [...svg.querySelectorAll("text")].map(text => [text, box(svg)]));
  const lines = all("p, h1, h2, h3, figcaption, .caption, nav");
  document.documentElement.setAttribute("data-probe", JSON.stringify({
    width: innerWidth,
    loaded: performance.getEntriesByType("resource").length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    wide: lines.filter(e => box(e).right > innerWidth + 1).map(e => e.textContent),
    cut: words.filter(([text, svg]) => beyond(box(text), svg)).map(([text]) => text.textContent),
    ink: getComputedStyle(document.body).color,
    ground: getComputedStyle(document.documentElement).backgroundColor,
    mark: getComputedStyle(document.querySelector("svg circle")).fill,
    charts: all("svg").map(svg => box(svg).height),
    tables: all("table").length,
  }));
});
</script>"""


def browse(page, *options):
    """Opens a page; returns what the browser wrote to stdout and stderr."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
               f"--user-data-dir={page.parent / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
    done = subprocess.run([*command, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def probed(page):
    file = page.with_name("probed.html")
    file.write_text(page.read_text().replace("</body>", PROBE + "</body>"))

    def probe(*options):
        dom, log = browse(file, "--dump-dom", "--enable-logging=stderr", *options)
        assert "CONSOLE" not in log
        found = re.search(r'data-probe="([^"]*)"', dom)
        assert found, dom[:500]
        return json.loads(
            found[1].replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
        )

    return probe


def brightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


@needs_browser
@pytest.mark.parametrize("width", [1440, 1024, 500])
def test_a_browser_shows_everything_at_every_width(probed, width):
    found = probed(f"--window-size={width},900")
    assert found["width"] == width
    assert found["loaded"] == 0
    assert found["overflow"] <= 0
    assert (found["wide"], found["cut"]) == ([], [])
    assert len(found["charts"]) == 5
    assert min(found["charts"]) > 60
    assert found["tables"] > 12


@needs_browser
def test_light_and_dark_are_both_readable(probed):
    light, dark = probed(), probed("--blink-settings=preferredColorScheme=0")
    assert brightness(light["ground"]) - brightness(light["ink"]) > 150
    assert brightness(dark["ink"]) - brightness(dark["ground"]) > 150
    assert light["mark"] != dark["mark"]


@needs_browser
def test_a_browser_prints_it(page):
    target = page.with_name("print.pdf")
    browse(page, "--no-pdf-header-footer", f"--print-to-pdf={target}")
    assert target.read_bytes().startswith(b"%PDF-")


def test_the_pdf_needs_no_browser_and_follows_the_records(document, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    other = write(Archive.read(write_records(tmp_path / "records", without=["h200.json"])), WHEN, "")
    found = to_pdf(document, WHEN)
    assert found.startswith(b"%PDF-")
    assert found == to_pdf(document, WHEN)  # the same records, the same file
    assert found != to_pdf(other, WHEN)
