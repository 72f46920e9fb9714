"""The command on folders of good and of odd files."""

import contextlib
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from handmesh.cli import main
from handmesh.images import read_image
from utils.template import ROOT

PALM = ROOT / "images/palm_img.jpg"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of odd files."""
    folder = tmp_path_factory.mktemp("photos")
    image = read_image(PALM)
    bgr = image[..., ::-1]
    cv2.imwrite(str(folder / "plain.png"), bgr)
    cv2.imwrite(str(folder / "deep.png"), bgr.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "grey.png"), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    both = np.concatenate([bgr, bgr[:, ::-1]], axis=1)
    cv2.imwrite(str(folder / "both.png"), cv2.resize(both, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    Image.fromarray(image).convert("CMYK").save(folder / "cmyk.jpg", quality=97)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.rot90(image).copy()).save(folder / "turned.jpg", quality=97, exif=exif)
    cv2.imwrite(str(folder / "nobody.png"), np.full((300, 400, 3), 128, np.uint8))
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(folder / "badK.png"), bgr)
    np.save(folder / "badK_K.npy", np.diag([0.0, 1, 1]))
    (folder / "text.jpg").write_text("not a picture")
    with contextlib.suppress(OSError):  # some file systems take no such name
        Path(os.fsdecode(os.fsencode(folder) + b"/name\xff.png")).write_bytes((folder / "plain.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def results(photos, tmp_path_factory):
    """What the command made of them."""
    out = tmp_path_factory.mktemp("results")
    main([str(photos), "-o", str(out)])
    return out


def hands_of(out, name):
    return json.loads((out / f"{name}_hands.json").read_text())["hands"]


def test_every_kind_of_image_gives_the_same_hand(results):
    out = results
    (plain,) = hands_of(out, "plain")
    assert plain["K_from"] == "fov"
    assert plain["side"] == "right"
    assert 0.5 < plain["side_probability"] <= 1
    assert plain["scale_and_depth_approximate"]
    for name in ("deep", "grey", "cmyk", "turned"):
        (hand,) = hands_of(out, name)
        assert hand["side"] == "right"
        distance = np.linalg.norm(np.subtract(hand["landmarks_px"], plain["landmarks_px"]), axis=1).mean()
        assert distance < 8, name


def test_each_hand_has_a_mesh_with_its_side_in_the_name(results):
    hands = hands_of(results, "both")
    assert sorted(hand["side"] for hand in hands) == ["left", "right"]
    for hand in hands:
        mesh = trimesh.load(results / f"both_{hand['side']}.ply", process=False)
        assert mesh.vertices.shape == (750, 3)
        assert np.abs(mesh.vertices.mean(axis=0) - np.mean(hand["joints_m"], axis=0)).max() < 0.05
        assert mesh.volume > 0  # faces look outward, of left hands too


def test_overlay_and_mask_are_of_the_size_of_the_picture(photos, tmp_path):
    assert main([str(photos / "both.png"), "-o", str(tmp_path), "--save", "overlay", "mask", "vertices", "obj"]) == 0
    image, overlay = read_image(photos / "both.png"), read_image(tmp_path / "both_overlay.jpg")
    mask = cv2.imread(str(tmp_path / "both_mask.png"), cv2.IMREAD_UNCHANGED)
    assert overlay.shape == image.shape
    assert mask.shape == image.shape[:2]
    changed = np.abs(overlay.astype(int) - image).max(axis=2) > 12
    hands = json.loads((tmp_path / "both_vertices.json").read_text())["hands"]
    for number, hand in enumerate(hands, 1):
        assert changed[mask == number].mean() > 0.7
        x, y = np.mean(hand["joints_px"], axis=0).astype(int)
        assert mask[y, x] == number
        assert np.shape(hand["vertices_m"]) == (750, 3)
    assert changed[mask == 0].mean() < 0.02
    assert {path.suffix for path in tmp_path.iterdir()} == {".jpg", ".png", ".json", ".obj", ".html"}


def test_what_cannot_be_used_is_named_and_the_rest_is_done(photos, tmp_path, capsys):
    out = tmp_path
    assert main([str(photos), "--out", str(out)]) == 1
    said = capsys.readouterr()
    skipped = [line for line in said.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 3
    for name in ("tiny.png", "badK_K.npy", "text.jpg"):
        assert any(name in line for line in skipped)
    assert "nobody: no hand found" in said.out
    assert hands_of(out, "nobody") == []
    assert not list(out.glob("nobody_*.ply"))
    written = {path.name for path in out.iterdir()}
    assert not any(name.startswith((".", "tiny", "badK", "text")) for name in written)
    page = (out / "index.html").read_text()
    assert not re.search(r"(src|href)=.?https?:", page)
    assert all(f'src="{name}_plot.jpg"' in page for name in ("plain", "both", "nobody"))


def test_known_size_and_side(tmp_path):
    assert main([str(ROOT / "images"), "-o", str(tmp_path), "--hand_length_cm", "18", "--hand", "right"]) == 0
    documents = list(tmp_path.glob("*_hands.json"))
    assert len(documents) == 5
    for path in documents:
        (hand,) = json.loads(path.read_text())["hands"]
        joints = np.array(hand["joints_m"])[[0, 9, 10, 11, 12]]
        assert np.linalg.norm(np.diff(joints, axis=0), axis=1).sum() == pytest.approx(0.18, abs=1e-4)
        assert hand["size_from"] == "hand_length"


def test_a_name_that_is_not_utf_8_is_a_name(photos, results):
    odd = [path.stem for path in photos.iterdir() if path.name.startswith("name")]
    for name in odd:
        assert (results / f"{name}_right.ply").stat().st_size > 10_000
        assert hands_of(results, name)[0]["side"] == "right"


@pytest.mark.parametrize("arguments", [["-o", ""], ["--K", "nowhere.json"], ["--boxes", "nowhere.json"]])
def test_paths_that_are_not_there_are_named(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(SystemExit):
        assert main([str(PALM), *arguments]) == 2
    said = capsys.readouterr().err
    assert arguments[0] in said or arguments[1] in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_images_is_named(tmp_path, folder, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / folder), "-o", str(tmp_path / "out")]) == 2
    assert folder in capsys.readouterr().err
