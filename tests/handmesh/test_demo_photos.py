"""The command on folders of good and of odd files."""

import json

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
        distance = np.linalg.norm(np.subtract(hand["joints_px"], plain["joints_px"]), axis=1).mean()
        assert distance < 8, name


def test_both_hands_are_in_one_mesh(results):
    out = results
    assert sorted(hand["side"] for hand in hands_of(out, "both")) == ["left", "right"]
    mesh = trimesh.load(out / "both_mesh.ply", process=False)
    assert len(mesh.vertices) == 1500


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
    assert not (out / "nobody_mesh.ply").exists()
    written = {path.name for path in out.iterdir()}
    assert not any(name.startswith((".", "tiny", "badK", "text")) for name in written)
    page = (out / "index.html").read_text()
    assert "http" not in page
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


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_images_is_named(tmp_path, folder, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / folder), "-o", str(tmp_path / "out")]) == 2
    assert folder in capsys.readouterr().err
