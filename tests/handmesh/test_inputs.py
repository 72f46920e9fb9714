"""What people bring: pictures, intrinsics and arguments of every kind, and what is refused by name."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

import handmesh
from handmesh.camera import find_camera, from_fov
from handmesh.image_folder import find_images
from handmesh.images import read_image
from handmesh.intrinsics import as_intrinsics
from handmesh.joints import hand_length
from utils.template import ROOT

PALM = ROOT / "images/palm_img.jpg"
K = [[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]


@pytest.fixture(scope="module")
def find():
    return handmesh.load()


@pytest.fixture(scope="module")
def image():
    return read_image(PALM)


def only(hands):
    assert len(hands) == 1
    return hands[0]


@pytest.mark.parametrize(
    ("kind", "off_px"),
    [
        ("path", 0),
        ("text", 0),
        ("pillow", 0),
        ("read-only", 0),
        ("rgba", 0),
        ("float", 0),
        ("uint16", 0),
        ("grey", 8),
        ("grey with a channel", 8),
        ("pillow, grey, 16 bits", 8),
    ],
)
def test_a_picture_in_any_form_shows_the_same_hand(find, image, kind, off_px, tmp_path):
    alone = tmp_path / "palm.jpg"  # without the intrinsics beside it
    alone.write_bytes(PALM.read_bytes())
    locked = image.copy()
    locked.flags.writeable = False
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    forms = {
        "path": alone,
        "text": str(alone),
        "pillow": Image.open(PALM),
        "read-only": locked,
        "rgba": np.dstack([image, np.full(image.shape[:2], 9, np.uint8)]),
        "float": image / np.float32(255),
        "uint16": image.astype(np.uint16) * 257,
        "grey": grey,
        "grey with a channel": grey[..., None],
        "pillow, grey, 16 bits": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    expected = only(find(image))
    found = only(find(forms[kind]))
    assert np.abs(found.landmarks_px - expected.landmarks_px).mean() <= off_px + 0.01
    assert found.side == expected.side


def test_several_pictures_give_a_list_each(find, image):
    nobody = np.full((200, 300, 3), 127, np.uint8)
    assert [len(hands) for hands in find([image, nobody, PALM])] == [1, 0, 1]
    assert [len(hands) for hands in find(np.stack([image, image[:, ::-1]]))] == [1, 1]


@pytest.mark.parametrize(
    "picture",
    [
        None,
        7,
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((3, 100, 100), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.full((50, 50, 3), 200.0),
        np.full((50, 50, 3), np.nan),
        np.zeros((50, 50, 3), np.int64),
        np.zeros((50, 50, 3), bool),
    ],
)
def test_what_is_no_picture_is_refused_by_name(find, picture):
    with pytest.raises(handmesh.InputError, match="image"):
        find(picture)


@pytest.mark.parametrize(
    "arguments",
    [
        {"hand": "l"},
        {"hand": "both"},
        {"hand": None},
        {"detect": False},
        {"detect": "maybe"},
        {"hand_length_m": 18.5},
        {"hand_length_m": -1},
        {"hand_length_m": float("nan")},
        {"hand_length_m": "0.18"},
        {"hand_length_m": True},
        {"boxes": [[5, 5, 5, 9]]},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[10, 20], [100, 200]]},
        {"boxes": [[[10, 20], [100, 200]]]},
        {"boxes": "all"},
        {"boxes": [[1e9, 0, 2e9, 5]]},
        {"K": np.zeros((3, 3))},
        {"K": np.full((3, 3), 1e300)},
        {"K": [[500, 1e6, 0], [0, 500, 0], [0, 0, 1]]},
        {"K": "K.json"},
        {"K": {"focal": 500}},
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(find, image, arguments):
    (name,) = arguments
    with pytest.raises(handmesh.InputError, match=name):
        find(image, **arguments)


def test_words_mean_what_they_say_in_any_case(find, image):
    assert only(find(image, hand="Left")).side == only(find(image, hand="LEFT")).side == "left"
    assert only(find(image, detect="Always")).side == "right"


def test_a_known_length_sets_the_scale(find, image):
    assert hand_length(only(find(image, hand_length_m=0.15)).joints_m) == pytest.approx(0.15)


def test_a_mirror_image_is_mirrored_first(find, image):
    camera = np.array([[300.0, 0, 90], [0, 300, 110], [0, 0, 1]])
    mirrored = np.ascontiguousarray(image[:, ::-1])
    mirrored_camera = camera.copy()
    mirrored_camera[0, 2] = image.shape[1] - 1 - camera[0, 2]
    expected = only(find(image, camera))
    found = only(find(mirrored, mirrored_camera, mirrored=True))
    assert found.side == "right"
    np.testing.assert_allclose(found.vertices_m, expected.vertices_m, atol=1e-9)
    assert only(find(mirrored, mirrored_camera)).side == "left"


def test_boxes_of_hands_are_looked_into_whatever_else_is_there(find, image):
    both = np.concatenate([image, image[:, ::-1]], axis=1)
    width = image.shape[1]
    box = only(find(image)).box_px
    other = box[[2, 1, 0, 3]] * [-1, 1, -1, 1] + [2 * width - 1, 0, 2 * width - 1, 0]  # of the mirrored half
    hand = only(find(both, boxes=[other]))
    assert hand.side == "left"
    assert hand.box_px[0] > width
    left, right = find(both, boxes=[[width, 0, 2 * width, 220], [0, 0, width, 220]])
    assert (left.side, right.side) == ("left", "right")
    assert find(both, boxes=[]) == []
    assert find(both, boxes=np.empty((0, 4))) == []


def test_a_camera_that_can_hardly_be_meant_is_a_warning(find, image):
    height, width = image.shape[:2]
    assert only(find(image, from_fov(height, width, 60))).warnings == ()
    (narrow,) = only(find(image, from_fov(height, width, 3))).warnings
    assert "field of view" in narrow
    shifted = from_fov(height, width, 60)
    shifted[0, 2] += 2 * width
    (outside,) = only(find(image, shifted)).warnings
    assert "principal point" in outside


@pytest.mark.parametrize(
    "content",
    [
        K,
        [K],
        np.array(K).ravel().tolist(),
        {"K": K},
        {"fx": 500, "fy": 510, "cx": 320, "cy": 240},
        [500, 510, 320, 240],
        {"k": np.array(K).ravel().tolist(), "width": 640, "height": 480, "distortion_model": "plumb_bob"},
        {"camera_matrix": {"rows": 3, "cols": 3, "data": np.array(K).ravel().tolist()}},
    ],
)
def test_intrinsics_in_the_forms_people_keep_them(content):
    np.testing.assert_allclose(as_intrinsics(content, 480, 640), K)


def test_intrinsics_of_another_size_are_scaled():
    half = as_intrinsics({"K": K, "width": 640, "height": 480}, 240, 320)
    np.testing.assert_allclose(half[:2], [[250, 0, 159.75], [0, 255, 119.75]])  # pixel centres at integers


@pytest.mark.parametrize("suffix", [".json", ".npy", ".npz", ".txt"])
@pytest.mark.parametrize("name", ["a_K", "K"])
def test_intrinsics_beside_an_image(tmp_path, suffix, name):
    path = tmp_path / f"{name}{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(K), encoding="utf-8-sig")  # with a mark that some editors write
    elif suffix == ".npy":
        np.save(path, K)
    elif suffix == ".npz":
        np.savez(path, K=K, distortion=np.zeros(5))
    else:
        np.savetxt(path, K)
    camera = find_camera(tmp_path / "a_img.jpg", 480, 640)
    assert camera.source == "file"
    np.testing.assert_allclose(camera.K, K)


def test_a_picture_named_by_its_path_has_the_intrinsics_beside_it(find, tmp_path):
    (tmp_path / "hand.jpg").write_bytes(PALM.read_bytes())
    assert only(find(tmp_path / "hand.jpg")).camera.source == "fov"
    (tmp_path / "hand_K.json").write_text(json.dumps(K))
    assert only(find(tmp_path / "hand.jpg")).camera.source == "file"


def test_pillow_images_of_large_numbers_are_read_and_broken_ones_refused(find, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(PALM.read_bytes()[:2000])
    assert len(find(Image.open(PALM).convert("L").convert("I"))) == 1
    with Image.open(tmp_path / "cut.jpg") as cut, pytest.raises(handmesh.InputError, match="cannot be read"):
        find(cut)


def test_a_folder_where_a_file_should_be_is_named(tmp_path):
    (tmp_path / "a_K.json").mkdir()
    with pytest.raises(handmesh.InputError, match=r"a_K\.json"):
        find_camera(tmp_path / "a.jpg", 480, 640)


def test_every_file_of_a_folder_is_an_image_or_named(tmp_path):
    for name in (
        "a.jpg",
        "a.png",
        "b.TIF",
        "c.bmp",
        "d.gif",
        "e.heic",
        "notes.txt",
        "a_K.json",
        "K.json",
        "a_plot.jpg",
        *("b_angles.png", "b_angles.csv", "b_hands.npz", "b_overlay.mp4", "b_right_1.bvh"),
    ):
        (tmp_path / name).touch()
    entries, others = find_images([tmp_path])
    assert [entry.name for entry in entries] == ["a_jpg", "a_png", "b", "c", "d", "e"]
    assert len(others) == 1
    assert "notes.txt" in others[0]


def test_files_folders_and_patterns_together(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").touch()
    entries, _ = find_images([tmp_path / "one", tmp_path / "two/a.jpg"])
    assert [entry.name for entry in entries] == ["one_a_jpg", "two_a_jpg"]
    assert len(find_images([f"{tmp_path}/*/*.jpg"])[0]) == 2
    for name in ("a_K.json", "notes.txt"):
        (tmp_path / "one" / name).touch()
    entries, others = find_images(sorted((tmp_path / "one").iterdir()))
    assert (len(entries), len(others)) == (1, 1)
    with pytest.raises(handmesh.InputError, match="nothing"):
        find_images([tmp_path / "nothing*"])


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".gif", ".webp", ".avif"])
def test_kinds_of_files(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    frames = [Image.fromarray(image), Image.fromarray(255 - image)]
    if suffix in (".gif", ".webp"):
        frames[0].save(path, save_all=True, append_images=frames[1:])  # of an animation the first frame counts
    else:
        frames[0].save(path)
    assert np.abs(read_image(path).astype(int) - image).mean() < 8
