"""The page of a run: what it says, that names cannot break it, and its 3D views in a browser."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest

import handmesh
from handmesh.gallery import COLUMNS, NO_VIEW, GalleryEntry, write_gallery
from handmesh.glb import glb_bytes
from handmesh.images import read_image
from utils.template import ROOT

BROWSER = shutil.which("chromium")
VIEWER = ROOT / "handmesh/viewer"
NASTY = """a<b>&"'</script><!-- #?%41 é"""
PICTURE = f"{NASTY}.jpg"
SCRIPTS = ROOT / "handmesh/data/viewer.js"
FLAGS = ["--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader"]
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium")


class Page(HTMLParser):
    """Start tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)

    def all(self, tag, **wanted):
        return [attrs for name, attrs in self.tags if name == tag and wanted.items() <= attrs.items()]


def written(tmp_path, entries, title="Hands"):
    write_gallery(tmp_path / "index.html", title, entries)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    return text, Page(text)


ENTRY = GalleryEntry(
    "palm", ("palm_plot.jpg", "palm_hands.json"), (("right", "90%", "0.40 m", "1.2 px", "fov"),), "mind"
)
VIEW = replace(ENTRY, scene=b"glTF", picture="palm.jpg", K=np.eye(3), size=(4, 3))


def test_a_page_without_scenes(tmp_path):
    text, page = written(tmp_path, [ENTRY, GalleryEntry("bad", (), warning="skipped: it is empty")])
    words = " ".join(page.words)
    for expected in (*COLUMNS, *ENTRY.rows[0], "mind", "palm", "skipped: it is empty"):
        assert expected in words
    assert [link["href"] for link in page.all("a")] == ["palm_plot.jpg", "palm_hands.json"]
    assert page.all("img", src="palm_plot.jpg", alt="palm", loading="lazy")
    assert not page.all("script")
    assert len(text) < 5000


def test_the_viewer_is_in_the_page_once(tmp_path):
    text, page = written(tmp_path, [VIEW, ENTRY, VIEW])
    assert len(page.all("script")) == 1
    assert text.count(SCRIPTS.read_text(encoding="utf-8")) == 1
    views = page.all("div", **{"class": "view"})
    assert len(views) == 2
    assert b64decode(views[0]["data-scene"]) == VIEW.scene
    assert json.loads(views[0]["data-camera"]) == {"K": np.eye(3).tolist(), "size": [4, 3]}
    assert views[0]["data-picture"] == "palm.jpg"
    assert page.words.count(NO_VIEW) == 2


def test_names_may_hold_anything(tmp_path):
    entry = replace(VIEW, name=NASTY, files=(PICTURE, NASTY), rows=((NASTY,) * 5,), warning=NASTY, picture=PICTURE)
    _, page = written(tmp_path, [entry], NASTY)
    _, plain = written(tmp_path, [VIEW])
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert "".join(page.words).count(NASTY) == 1 + 1 + 1 + 1 + 5 + 1  # title, headings, warning, row, link
    view = page.all("div", **{"class": "view"})[0]
    plot, other = (link["href"] for link in page.all("a"))
    assert unquote_to_bytes(other).decode() == NASTY
    assert plot == page.all("img")[0]["src"] == view["data-picture"]
    assert unquote_to_bytes(plot).decode() == PICTURE
    for link in (plot, other):
        assert not set(link) & set("<>\"'#?: ")


def test_files_without_a_picture_are_links(tmp_path):
    _, page = written(tmp_path, [replace(VIEW, files=("hand.json", "hand.glb"))])
    assert not page.all("img")
    assert [link["href"] for link in page.all("a")] == ["hand.json", "hand.glb"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_unicode(tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    _, page = written(tmp_path, [replace(VIEW, name=name, files=(name,), picture=name)], name)
    assert page.all("img")[0]["src"] == "%FF.jpg"
    assert "?.jpg" in page.words


def test_the_bundle_can_stand_in_a_page():
    text = SCRIPTS.read_text(encoding="utf-8")
    assert text.isascii()
    assert "</script" not in text.lower()
    assert "<!--" not in text
    assert len(text) < 700_000
    assert "MIT" in (SCRIPTS.parent / "viewer.LICENSE").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page_with_views(tmp_path_factory):
    """A page of twelve pictures with two hands each."""
    folder = tmp_path_factory.mktemp("page")
    palm = read_image(ROOT / "images/palm_img.jpg")
    image = np.concatenate([palm, palm[:, ::-1]], axis=1)
    find = handmesh.load()
    hands = find(image)
    cv2.imwrite(str(folder / "two.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    scene, size = glb_bytes(hands, find.faces), image.shape[1::-1]
    entry = GalleryEntry("two", ("two.jpg",), scene=scene, picture="two.jpg", K=hands[0].camera.K, size=size)
    write_gallery(folder / "index.html", "Hands", [entry] * 12)
    return folder / "index.html"


@needs_browser
@pytest.mark.parametrize("webgl", [True, False])
def test_hands_are_seen_in_a_browser(webgl, page_with_views, tmp_path):
    extra = "--enable-unsafe-swiftshader" if webgl else "--disable-3d-apis"
    command = [BROWSER, *FLAGS, extra, f"--user-data-dir={tmp_path}", "--window-size=1200,800"]
    command += ["--virtual-time-budget=3000", f"--screenshot={tmp_path / 'page.png'}", page_with_views.as_uri()]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    view = cv2.imread(str(tmp_path / "page.png"))[200:, 740:].astype(int)
    blue = view[..., 0] - view[..., 2] > 40  # the left hand, and nothing in the photo, is
    assert (blue.sum() > 300) == webgl


@needs_browser
@pytest.mark.skipif(not (VIEWER / "node_modules/playwright-core").exists(), reason="needs npm ci in handmesh/viewer")
def test_views_turn(page_with_views):
    command = ["node", VIEWER / "test.mjs", page_with_views, BROWSER]
    run = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
