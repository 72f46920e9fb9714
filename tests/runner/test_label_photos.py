"""Labels of photos as the recipe makes them: from crops with rough landmarks to a data set that training reads."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest

from datasets.crop_index import Crop, read_crops
from datasets.keypoints import ANNOTATIONS, KeypointFiles
from handmesh import load
from handmesh.errors import InputError
from handmesh.files import write_json
from handmesh.geometry import project
from handmesh.hand_model import load_hand_model
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from scripts.label_photos import LEAST_HANDS, HandLabels, evenly, label, labels_of, see, write_hand
from scripts.measure_crops import measured_offsets
from utils.template import ROOT

PHOTOS = ("palm", "back", "left")


POINTS = [f"{axis}{joint}" for joint in range(NUM_JOINTS) for axis in "xy"]


def header():
    return ",".join(["file", "source", "split", *POINTS]).encode() + b"\n"


@pytest.fixture(scope="module")
def find():
    return load()


@pytest.fixture(scope="module")
def about_palm(find):
    path = ROOT / "images/palm_img.jpg"
    return Crop(path, "right", find.detector(read_image(path))[0].landmarks_px)


@pytest.fixture(scope="module")
def labelled(find, tmp_path_factory):
    photos, folder = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("labels")
    with (photos / "index.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["file", "source", "split", *POINTS])
        rows.writeheader()
        for name in PHOTOS * (LEAST_HANDS // len(PHOTOS) + 1):
            image = read_image(ROOT / f"images/{name}_img.jpg")
            cv2.imwrite(str(photos / f"{name}.png"), image[..., ::-1])
            about = find.detector(image)[0].landmarks_px.round().ravel()
            kept = {"file": f"{name}.png", "source": "left" if name == "left" else "right", "split": "train"}
            rows.writerow(kept | dict(zip(POINTS, about, strict=True)))
        rows.writerow(kept | {"split": "test"} | dict.fromkeys(POINTS, 0))
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
        cv2.imwrite(str(photos / "noise.png"), noise)
        rows.writerow(kept | {"file": "noise.png"} | dict(zip(POINTS, about, strict=True)))
    label(photos, folder, find)
    return folder


def test_clear_hands_are_labelled_and_noise_is_not(labelled):
    assert len(list(labelled.glob("*.ply"))) == LEAST_HANDS + 1
    assert (labelled / "sheet.png").is_file()


def test_training_reads_meshes_that_lie_on_the_hands(labelled, template):
    data = KeypointFiles(labelled, template.num_vertices[0])
    assert len(data) == 4 * (LEAST_HANDS + 1) // 3  # as many of either source
    for index in range(len(data)):
        sample = data.read(index)
        placed = sample.vertices_m + data.hands[index]["xyz"][0]
        inside = project(placed, sample.K).round().astype(int)
        assert sample.mask[inside[:, 1], inside[:, 0]].mean() > 0.9 * 255
        joints = template.joint_regressor @ sample.vertices_m
        expected = data.hands[index]["xyz"] - data.hands[index]["xyz"][0]
        np.testing.assert_allclose(joints - joints[0], expected, atol=1e-4)


def test_a_hand_on_which_both_networks_contradict_each_other_is_not_labelled(find, about_palm):
    hand = see(find, about_palm)
    turned = hand.vertices_m - hand.vertices_m.mean(axis=0)
    turned = turned[:, [1, 0, 2]] * [1, -1, 1] + hand.vertices_m.mean(axis=0)
    others = [replace(hand, vertices_m=vertices) for vertices in (hand.vertices_m[::-1], turned)]
    labels = labels_of([hand] * LEAST_HANDS + others, load_hand_model())
    assert labels[0].has_mesh
    assert labels[LEAST_HANDS:] == [None, None]


def test_a_few_hands_are_not_enough(find, about_palm):
    with pytest.raises(InputError, match="sure of 1 crops; expected at least"):
        labels_of([see(find, about_palm)], load_hand_model())


def test_where_the_teachers_joints_are_is_measured_on_generated_hands(find, rendered_freihand):
    offsets = measured_offsets(find, rendered_freihand)
    assert offsets.shape == (NUM_JOINTS, 4)
    assert np.isfinite(offsets).all()


def test_of_a_hand_that_the_mesh_contradicts_only_landmarks_are_written(find, about_palm, tmp_path, template):
    hand, model = see(find, about_palm), load_hand_model()
    joints = model.joint_regressor @ hand.vertices_m
    labels = HandLabels(joints, project(joints, hand.K), hand.vertices_m, has_mesh=False)
    entry = write_hand(tmp_path, 0, read_image(about_palm.path), hand.K, labels, model.faces)
    assert entry.keys() == {"points", "image"}
    write_json(tmp_path / ANNOTATIONS, [entry])
    sample = KeypointFiles(tmp_path, template.num_vertices[0]).read(0)
    assert np.isnan(sample.vertices_m).all()
    assert not sample.mask.any()


def test_left_hands_are_shown_as_right_ones(find, labelled):
    for path in labelled.glob("*.jpg"):
        assert find.detector(read_image(path))[0].right > 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"file,source\na.jpg,one\n", "no crop of split train"),
        (b"file,source,split\na.jpg,one,train\n", "a.jpg: expected file, source, split and x0"),
        (header(), "no crop of split train"),
        (header() + b"a.jpg,one,train" + b",1" * 41, "a.jpg: a landmark is missing"),
        (header() + b"a.jpg,one,train" + b",here" * 42, "a.jpg: expected"),
        (header() + b"a.jpg,one,train" + b",nan" * 42, "a.jpg: a landmark is missing or not finite"),
    ],
)
def test_an_index_that_cannot_be_used_is_named(content, message, tmp_path):
    if content is not None:
        (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_crops(tmp_path, "train")
    assert str(raised.value).startswith(str(tmp_path / "index.csv"))


def test_every_source_has_as_many_entries():
    entries = evenly({"many": [{"image": str(number)} for number in range(7)], "few": [{"image": "a"}, {"image": "b"}]})
    names = [entry["image"] for entry in entries]
    assert len(names) == 14
    assert sum(name.isalpha() for name in names) == 7
    assert set(names) >= {"a", "b"}
