"""The documentation is built without a warning and without a network, and its pictures follow from
the code.
"""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.images import crops
from fcn.cli.app import GROUPS
from fcn.cli.workspace import COMMANDS
from fcn.spec import BACKBONES
from tasks.settings import params

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found.get("id"), found.get("name")} - {None}
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif tag == "link" and found.get("rel") in ("canonical", "alternate"):
            pass
        else:
            self.loaded += [found[key] for key in ("src", "href") if found.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; a proxy that nobody listens at stands for a missing network."""
    out = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO ")]
    assert lines == [], "a warning"
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    assert len(pages) > 25
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link) or path.name == "404.html":
                continue
            there = (path.parent / target).resolve() if target else path
            missed = there in pages and anchor not in {"", *pages[there].anchors}
            if missed or not there.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_a_page_loads_nothing_from_elsewhere(site, pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    assert {link for link in loaded if re.match(r"([a-z]+:)?//", link)} == set()
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not any(re.search(r"url\(\s*['\"]?(https?:)?//", sheet) for sheet in sheets)


def text(path):
    return re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))


def test_the_reference_has_every_command_and_every_parameter(site):
    commands = text(site / "reference/commands.html")
    for name in (*(name for names in GROUPS.values() for name in names), *COMMANDS):
        assert f"fcn {name}" in commands, name
    assert "--tile" in commands
    keys = text(site / "reference/parameters.html").replace("&lt;", "<").replace("&gt;", ">")
    assert [key for key, *_ in params.reference() if key not in keys] == []


def test_the_reference_has_the_keys_of_the_files(site):
    from fcn.input import records

    page = text(site / "reference/files.html")
    split = records._Index.model_json_schema(by_alias=True)["$defs"]["_Split"]["properties"]
    for key in (*split, "fc_units", "frequency_weighted_iu", "findings"):
        assert key in page, key


def test_the_picture_of_the_crops_follows_from_the_net():
    assert crops.OUT.read_text(encoding="utf-8") == crops.svg()
    offsets = {name: offset for name, _, offset in crops.lines() if offset}
    assert offsets == {"score_pool4": 5, "score_pool3": 9, "upscore8": 31}
    pad = BACKBONES["vgg16"].paddings["caffe"]
    assert [pad.skip_offset["pool4"], pad.skip_offset["pool3"], pad.score_offset[8]] == [5, 9, 31]


@pytest.mark.parametrize("side", [1, 2, 31, 32, 33, 375, 500, 2048])
def test_the_enlarged_scores_cover_the_image_whatever_its_size(side):
    *_, (_, line, offset) = crops.lines(side)
    assert offset + side <= line.cells
