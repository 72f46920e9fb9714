"""The FreiHAND reader: layouts, seeds, and what it says about damaged data."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from datasets.augmentation import AugmentationSettings
from datasets.augmented import REFERENCE, SampleSettings
from datasets.freihand import FreiHANDEvaluation, FreiHANDTraining
from datasets.sampler import EpochBatches
from handmesh.errors import InputError
from handmesh.geometry import MESH_SCALE_M, project

CAMERA = [[500, 0, 112], [0, 500, 112], [0, 0, 1]]
PLAIN = AugmentationSettings(position=0, rotation_degrees=0, color=False)


@pytest.fixture
def copy(rendered_freihand, tmp_path):
    return shutil.copytree(rendered_freihand, tmp_path / "freihand")


def training(root, template, **changes):
    num_vertices = changes.pop("num_vertices", template.num_vertices[0])
    return FreiHANDTraining(
        root, num_vertices, SampleSettings(**({"size": 96, "seed": 1, "pixels": REFERENCE} | changes))
    )


def test_samples(rendered_freihand, template):
    data = training(rendered_freihand, template)
    assert len(data) == 16
    sample = data[0, 3]
    shapes = {name: value.shape for name, value in sample.items()}
    assert shapes == {
        "image": (3, 96, 96),
        "mesh": (750, 3),
        "landmarks_px": (21, 2),
        "silhouette": (48, 48),
        "mirrored": (),
    }
    assert not sample.pop("mirrored")
    assert all(value.dtype == np.float32 for value in sample.values())
    assert -1 <= sample["image"].min() <= sample["image"].max() <= 1
    # The mesh is relative to the wrist, in units of 0.2 m.
    wrist = template.joint_regressor[0] @ sample["mesh"]
    np.testing.assert_allclose(wrist, 0, atol=1e-5)
    assert 0.1 < np.linalg.norm(sample["mesh"].max(0) - sample["mesh"].min(0)) * MESH_SCALE_M < 0.4


def test_versions_share_their_annotation(rendered_freihand, template):
    data = training(rendered_freihand, template, augmentation=PLAIN)
    first, second = data.read(2), data.read(2 + 8)
    np.testing.assert_array_equal(first.vertices_m, second.vertices_m)
    assert (first.image != second.image).any()


def test_landmarks_are_the_projected_joints(rendered_freihand, template):
    data = training(rendered_freihand, template)
    sample = data.read(5)
    np.testing.assert_allclose(sample.landmarks_px, project(data.source.xyz[5], data.source.K[5]))


def test_epoch_index_and_seed_decide_the_sample(rendered_freihand, template):
    data, same, other = (training(rendered_freihand, template, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(data[4, 2]["image"], same[4, 2]["image"])
    assert (data[4, 2]["image"] != data[5, 2]["image"]).any()
    assert (data[4, 2]["image"] != other[4, 2]["image"]).any()


def test_separate_meshes_are_read_where_there_is_no_vertex_list(copy, template):
    vertices = json.loads((copy / "training_verts.json").read_text())
    expected = training(copy, template)[0, 6]["mesh"]
    (copy / "training_verts.json").unlink()
    with pytest.raises(InputError, match="training_verts.json"):
        training(copy, template)
    (copy / "training/mesh").mkdir()
    for index, mesh in enumerate(vertices):
        trimesh.Trimesh(mesh, template.faces[0], process=False).export(copy / f"training/mesh/{index:08d}.ply")
    np.testing.assert_allclose(training(copy, template)[0, 6]["mesh"], expected, atol=1e-5)
    (copy / "training/mesh/00000006.ply").write_text("ply\nnonsense")
    with pytest.raises(InputError, match="00000006.ply"):
        training(copy, template)[0, 6]


def test_evaluation_crop(rendered_freihand):
    data = FreiHANDEvaluation(rendered_freihand, 224)
    assert len(data) == 5
    assert data[0]["image"].shape == (3, 224, 224)
    np.testing.assert_allclose(data[0]["K"][0, 0], data.K[0, 0, 0] * 224 / 130)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("training_K.json", None, "training_K.json: no such file"),
        ("training_K.json", "[[[1, 2, 3], [4, 5", "cut short"),
        ("training_K.json", f"[[[{'9' * 400}, 0, 0]]]", "training_K.json"),
        ("training_K.json", "[" * 100_000, "not valid"),
        ("training_K.json", "[]", "3 x 3"),
        ("training_K.json", "[[[1, 2], [3, 4]]]", "2 x 2"),
        ("training_xyz.json", '{"a": 1}', "training_xyz.json"),
        ("training_xyz.json", "[[1, 2], [3]]", "ragged"),
        ("training_K.json", json.dumps([[[float("nan")] * 3] * 3] * 8), "not finite"),
        ("training_K.json", json.dumps([[[1.0] * 3] * 3] * 7), "different length"),
        ("training_K.json", json.dumps([*[CAMERA] * 5, [[0] * 3] * 3, *[CAMERA] * 2]), "entry 5 is no camera"),
        ("training_K.json", json.dumps([CAMERA, [["1"] * 3] * 3] * 4), "entry 1 holds text"),
        ("training_xyz.json", json.dumps([[[0, 0, 0.5]] * 21] * 7 + [[[0, 0, 0]] * 21]), "entry 7 has depths of 0"),
        ("training_xyz.json", json.dumps([[[0, 0, 500]] * 21] * 8), "entry 0 .* millimetres"),
        ("training_verts.json", "[[[0, 0, 1], [0,", "cut short"),
        ("training_verts.json", "{}", "different length"),
        ("training_verts.json", json.dumps([[[0, 0, 0.5]] * 750] * 9), "training_verts.json 9"),
        ("training_verts.json", json.dumps([[[0, 0, 0.5]] * 750, [[0, 0, -0.5]] * 750]), "entry 1 has depths"),
        ("training_verts.json", json.dumps([[[0, 0, 0.5]] * 750, [[0, True, 1]] * 750]), "entry 1 holds text"),
        ("training_verts.json", json.dumps([[[0, 0, 0.5]] * 750, [[0, 1]] * 750]), "750 x 2"),
    ],
)
def test_damaged_lists_are_named_before_training(copy, template, name, content, message):
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        training(copy, template)
    assert str(copy) in str(error.value)


def test_missing_images_and_masks_are_named_before_training(copy, template):
    (copy / "training/mask/00000003.jpg").unlink()
    with pytest.raises(InputError, match="mask/00000003.jpg"):
        training(copy, template)
    (copy / "training/rgb/00000004.jpg").unlink()
    with pytest.raises(InputError, match="rgb/00000004.jpg"):
        training(copy, template)
    (copy / "training/rgb/00000015.jpg").rename(copy / "training/rgb/00000004.jpg")
    with pytest.raises(InputError, match="15 images for 8 annotations"):
        training(copy, template)
    shutil.rmtree(copy / "training/rgb")
    with pytest.raises(InputError, match="no such folder"):
        training(copy, template)


def test_a_stray_file_is_named_and_not_another_one(copy, template):
    rgb = copy / "training/rgb"
    (rgb / "copy of 1.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"copy of 1.jpg: does not belong"):
        training(copy, template)
    (rgb / "copy of 1.jpg").rename(rgb / "00000099.jpg")
    with pytest.raises(InputError, match="00000016.jpg: no such file, but 00000099.jpg is there"):
        training(copy, template)


def test_a_mask_without_a_hand_is_named(copy, template):
    cv2.imwrite(str(copy / "training/mask/00000002.jpg"), np.zeros((224, 224), np.uint8))
    with pytest.raises(InputError, match="mask/00000002.jpg: shows no hand"):
        training(copy, template)[0, 2]


def test_meshes_are_read_once(copy, template):
    data = training(copy, template)
    assert isinstance(data.source.vertices, np.memmap)
    kept = Path(data.source.vertices.filename)
    before = kept.stat().st_mtime_ns
    again = training(copy, template)
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(
        again.source.vertices, json.loads((copy / "training_verts.json").read_text(), parse_float=np.float32)
    )


def test_another_topology_is_named(copy, template):
    with pytest.raises(InputError, match="750 vertices, and a template of 778.*template/mano"):
        training(copy, template, num_vertices=778)


def test_unreadable_image_is_named(copy, template):
    (copy / "training/rgb/00000001.jpg").write_bytes(b"\xff\xd8 not a picture")
    with pytest.raises(InputError, match="00000001.jpg"):
        training(copy, template)[0, 1]
    (copy / "evaluation/rgb/00000002.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="00000002.jpg"):
        FreiHANDEvaluation(copy, 224)[2]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_image_is_named(share, copy, template):
    path = copy / "training/rgb/00000001.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="00000001.jpg"):
        training(copy, template)[0, 1]


def test_batches_are_a_function_of_seed_and_step():
    def batches(**changes):
        return list(EpochBatches(**({"num_samples": 10, "batch_size": 3, "epochs": 4, "seed": 5} | changes)))

    everything = batches()
    assert len(everything) == 12
    assert all({epoch for epoch, _ in batch} == {step // 3} for step, batch in enumerate(everything))
    for start in (1, 3, 7, 12):
        assert batches(start_step=start) == everything[start:]
    assert batches(seed=6) != everything
    assert len(batches(batch_size=32)) == 4
    assert sorted(index for _, index in batches(batch_size=32)[0]) == list(range(10))
    with pytest.raises(InputError, match="no samples"):
        batches(num_samples=0)
