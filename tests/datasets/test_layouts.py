"""RHD, HO-3D and own photographs: what is read is what was rendered, and damage is named."""

import json
import pickle

import cv2
import numpy as np
import pytest
import trimesh

from datasets import TRAINING_SETS
from datasets.augmentation import AugmentationSettings
from datasets.augmented import DEVICE, REFERENCE, SampleSettings
from datasets.ho3d import HO3DFiles
from datasets.keypoints import KeypointFiles
from datasets.rhd import RHDFiles
from handmesh.errors import InputError
from handmesh.geometry import project
from tests.datasets.written_layouts import hands, write_ho3d, write_keypoints, write_rhd


@pytest.fixture(scope="module")
def shown(template):
    return hands(template, 4)


def assert_is(sample, hand, atol_px=0.02):
    """The sample shows the hand: image and points agree, and joints are those of a right hand."""
    assert sample.image.shape == (224, 224, 3)
    relative = hand.joints - hand.joints[0]
    if np.isfinite(sample.joints_m).any():
        np.testing.assert_allclose(sample.joints_m, relative, atol=1e-5)
    # Pixels: the sample is the rendered image scaled and shifted, which the points tell.
    points = project(hand.joints, hand.K)
    known = np.isfinite(sample.landmarks_px[:, 0])
    ends = points[known][[0, -1]], sample.landmarks_px[known][[0, -1]]
    scale = np.linalg.norm(np.diff(ends[1], axis=0)) / np.linalg.norm(np.diff(ends[0], axis=0))
    affine = np.hstack([scale * np.eye(2), (ends[1][0] - scale * ends[0][0])[:, None]])
    np.testing.assert_allclose(points[known] @ affine[:, :2] + affine[:, 2], sample.landmarks_px[known], atol=atol_px)
    expected = cv2.warpAffine(hand.mask, affine, (224, 224)) > 127
    if sample.mask.any():
        assert ((sample.mask > 127) != expected).mean() < 0.01
    image = cv2.warpAffine(hand.image, affine, (224, 224))
    assert np.abs(sample.image.astype(float) - image)[expected].mean() < 12
    if np.isfinite(sample.K).all() and np.isfinite(sample.joints_m).all():
        place = np.linalg.solve(sample.K, [*sample.landmarks_px[0], 1]) * hand.joints[0, 2]
        np.testing.assert_allclose(project(sample.joints_m + place, sample.K), sample.landmarks_px, atol=0.1)


def test_rhd(tmp_path, shown):
    write_rhd(tmp_path, shown)
    data = RHDFiles(tmp_path, 750)
    assert data.hands == [(0, 0), (1, 1), (2, 1), (3, 1)]
    for index, hand in enumerate(shown):
        sample = data.read(index)
        assert_is(sample, hand)
        assert sample.mask.any()
        assert np.isnan(sample.vertices_m).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_ho3d(suffix, tmp_path, shown):
    write_ho3d(tmp_path, shown, suffix)
    data = HO3DFiles(tmp_path, 750)
    assert len(data) == 3
    for index, hand in enumerate(shown[:3]):
        sample = data.read(index)
        assert_is(sample, hand)
        assert not sample.mask.any()


def test_own_photographs(tmp_path, shown, template):
    hand = shown[3]
    mesh = trimesh.Trimesh(hand.vertices, template.faces[0], process=False)
    mesh.export(tmp_path / "hand.ply")
    K = shown[1].K + np.array([[0, 0, 50], [0, 0, 0], [0, 0, 0]])
    entries = [
        {},
        {"points": None, "K": K.tolist(), "xyz": shown[1].joints.tolist()},
        {"side": "left", "mask": True},
        {"mesh": "hand.ply", "xyz": hand.joints.tolist(), "mask": True},
    ]
    own = write_keypoints(tmp_path, shown, entries)
    own[0]["points"][5] = None
    (tmp_path / "annotations.json").write_text(json.dumps(own))
    data = KeypointFiles(tmp_path, 750)
    samples = [data.read(index) for index in range(4)]
    for sample, hand in zip(samples, shown, strict=True):
        assert_is(sample, hand)
    assert np.isnan(samples[0].landmarks_px).any(axis=1).nonzero()[0] == [5]
    assert [sample.mask.any() for sample in samples] == [False, False, True, True]
    assert [np.isfinite(sample.joints_m).all() for sample in samples] == [False, True, False, True]
    np.testing.assert_allclose(template.joint_regressor @ samples[3].vertices_m, samples[3].joints_m, atol=1e-5)


@pytest.mark.parametrize("pixels", [REFERENCE, DEVICE])
@pytest.mark.parametrize("upright", [False, True])
def test_samples_say_what_is_not_known(pixels, upright, tmp_path, shown):
    entries = [{"points": [None, *project(shown[0].joints, shown[0].K)[1:].tolist()]}, {"mask": True}, {}, {}]
    write_keypoints(tmp_path, shown, entries)
    augmentation = AugmentationSettings(upright=upright, mirrored_share=0.5)
    data = TRAINING_SETS["Keypoints"](tmp_path, 750, SampleSettings(96, augmentation, pixels=pixels))
    samples = [data[epoch, index] for epoch in range(3) for index in range(4)]
    assert len({frozenset(sample) for sample in samples}) == 1
    assert [bool(sample["has_mask"]) for sample in samples[:4]] == [False, True, False, False]
    for sample in samples:
        assert np.isnan(sample["mesh"]).all()
        assert np.isnan(sample["joints"]).all()
        inside = (sample["landmarks_px"][1:] > -20) & (sample["landmarks_px"][1:] < 116)
        assert inside.mean() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [[1, 2]] * 20}, "entry 1: points: expected 21 rows of 2"),
        ({"points": [["1", 2]] * 21}, "entry 1: points: expected numbers"),
        ({"points": [[True, 2]] * 21}, "expected numbers"),
        ({"points": [[float("nan"), 2]] * 21}, "expected numbers"),
        ({"points": [[10**400, 2]] * 21}, "expected numbers"),
        ({"image": None}, "expected an object with image"),
        ({"points": 5}, "expected 21 rows"),
        ({"xyz": [None] * 21}, "xyz: expected 21 rows"),
        ({"K": [[0] * 3] * 3}, "K: expected focal lengths"),
        ({"points": [None] * 19 + [[1, 2]] * 2}, "fewer than 3"),
        ({"points": None}, "expected points"),
        ({"xyz": [[0, 0, 300.0]] * 21}, "millimetres"),
        ({"side": "both"}, "left or right"),
        ({"image": "nowhere.jpg"}, "nowhere.jpg"),
        ({"mesh": "day_0/photo.jpg"}, "a mesh needs xyz"),
        ({"pionts": []}, "expected an object with image"),
    ],
)
def test_entries_that_cannot_be_used_are_named(change, message, tmp_path, shown):
    write_keypoints(tmp_path, shown[:2], [{}, change])
    with pytest.raises(InputError, match=message) as error:
        KeypointFiles(tmp_path, 750)
    assert "annotations.json: entry 1" in str(error.value)


def test_photographs_that_do_not_fit_are_named(tmp_path, shown, template):
    trimesh.Trimesh(1000 * shown[2].vertices, template.faces[0], process=False).export(tmp_path / "millimetres.ply")
    large = {"xyz": shown[2].joints.tolist(), "mesh": "millimetres.ply"}
    entries = [{"points": [[9999, 9999], [1, 1], [2, 2]] * 7}, {"mask": True}, large, {"points": [[5, 5]] * 21}]
    write_keypoints(tmp_path, shown, entries)
    (tmp_path / "day_1/mask.png").write_bytes((tmp_path / "day_0/photo.jpg").read_bytes())
    cv2.imwrite(str(tmp_path / "day_1/mask.png"), np.zeros((10, 10), np.uint8))
    data = KeypointFiles(tmp_path, 750)
    with pytest.raises(InputError, match="entry 0: points far outside"):
        data.read(0)
    with pytest.raises(InputError, match="mask.png: expected a mask of 300 x 260 px"):
        data.read(1)
    with pytest.raises(InputError, match="millimetres.ply: more than 1 m"):
        data.read(2)
    with pytest.raises(InputError, match="entry 3: 21 points at one place"):
        data.read(3)


def test_damaged_annotations_are_named(tmp_path, shown):
    write_rhd(tmp_path, shown)
    path = tmp_path / "training/anno_training.pickle"
    path.write_bytes(pickle.dumps({0: {"K": np.eye(3)}}))
    with pytest.raises(InputError, match="anno_training.pickle: entry 0"):
        RHDFiles(tmp_path, 750)
    numbers = {"K": np.eye(3), "xyz": np.full((42, 3), np.nan), "uv_vis": np.ones((42, 3))}
    path.write_bytes(pickle.dumps({0: numbers}))
    with pytest.raises(InputError, match="entry 0 is not finite"):
        RHDFiles(tmp_path, 750)
    path.write_bytes(pickle.dumps({7: numbers | {"K": np.zeros((3, 3)), "xyz": np.ones((42, 3))}}))
    with pytest.raises(InputError, match="entry 7 is no camera"):
        RHDFiles(tmp_path, 750)
    path.write_bytes(pickle.dumps({0: numbers | {"xyz": np.full((42, 3), "a")}}))
    with pytest.raises(InputError, match="entry 0: expected numbers"):
        RHDFiles(tmp_path, 750)
    write_ho3d(tmp_path, shown, ".jpg")
    path = tmp_path / "train/ABF10/meta/0000.pkl"
    path.write_bytes(pickle.dumps({"camMat": np.full((3, 3), np.nan), "handJoints3D": np.ones((21, 3))}))
    with pytest.raises(InputError, match="0000.pkl: entry 0 is no camera"):
        HO3DFiles(tmp_path, 750)
    path.write_bytes(pickle.dumps({"camMat": np.eye(3), "handJoints3D": np.zeros((21, 3))}))
    with pytest.raises(InputError, match="0000.pkl: handJoints3D"):
        HO3DFiles(tmp_path, 750)
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match="0000.pkl"):
        HO3DFiles(tmp_path, 750)
    (tmp_path / "train.txt").unlink()
    with pytest.raises(InputError, match="train.txt"):
        HO3DFiles(tmp_path, 750)
