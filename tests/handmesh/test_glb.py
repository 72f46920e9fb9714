"""Hands as binary glTF: what another program reads is what was written."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import trimesh

import handmesh
from handmesh.drawing.photo import HAND_COLORS
from handmesh.glb import CAMERA_TO_GLTF, SRGB_GAMMA, glb_bytes, write_glb
from handmesh.images import read_image
from utils.template import ROOT


@pytest.fixture(scope="module")
def find():
    return handmesh.load()


@pytest.fixture(scope="module")
def hands(find):
    palm = read_image(ROOT / "images/palm_img.jpg")
    hands = find(np.concatenate([palm, palm[:, ::-1]], axis=1))
    assert sorted(hand.side for hand in hands) == ["left", "right"]
    return hands


def load(content):
    return trimesh.load(BytesIO(content), file_type="glb", process=False)


def volume(vertices, faces):
    """Positive if the faces are oriented outward."""
    a, b, c = (vertices[faces[:, corner]] - vertices.mean(axis=0) for corner in range(3))
    return (a * np.cross(b, c)).sum() / 6


def test_hands_are_read_back(hands, find):
    scene = load(glb_bytes(hands, find.faces))
    assert set(scene.geometry) == {"right_1", "left_1"}
    for hand in hands:
        mesh = scene.geometry[f"{hand.side}_1"]
        np.testing.assert_array_equal(mesh.vertices, (hand.vertices_m * CAMERA_TO_GLTF).astype(np.float32))
        np.testing.assert_array_equal(mesh.faces, find.faces[hand.side])
        assert volume(mesh.vertices, mesh.faces) > 0
        color = mesh.visual.material.baseColorFactor[:3] / 255
        np.testing.assert_allclose(color, HAND_COLORS[hand.side] ** SRGB_GAMMA, atol=0.005)


def test_left_is_left_and_in_front_of_the_camera(hands, find):
    scene = load(glb_bytes(hands, find.faces))
    left, right = (scene.geometry[name].vertices.mean(axis=0) for name in ("left_1", "right_1"))
    assert right[0] < 0 < left[0]  # as in the picture, which shows the palms
    assert max(left[2], right[2]) < 0


def test_normals_point_outward(hands, find):
    for mesh in load(glb_bytes(hands, find.faces)).geometry.values():
        normals = mesh.vertex_normals
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        faces_out = np.cross(*(mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2)))
        assert ((faces_out * normals[mesh.faces[:, 0]]).sum(axis=1) > 0).mean() > 0.97


def test_hands_of_a_side_are_numbered(hands, find):
    right = next(hand for hand in hands if hand.side == "right")
    assert set(load(glb_bytes([right, *hands], find.faces)).geometry) == {"right_1", "right_2", "left_1"}


def test_what_is_not_finite_is_left_out(hands, find):
    broken = replace(hands[0], vertices_m=np.full_like(hands[0].vertices_m, np.nan))
    assert glb_bytes([broken, *hands], find.faces) == glb_bytes(hands, find.faces)
    assert glb_bytes([broken], find.faces) == glb_bytes([], find.faces)


def test_it_is_small_and_written_as_it_is(hands, find, tmp_path):
    write_glb(tmp_path / "hands.glb", hands, find.faces)
    content = (tmp_path / "hands.glb").read_bytes()
    assert content == glb_bytes(hands, find.faces)
    assert len(content) < 30_000 * len(hands)
    assert content[:8] == b"glTF\x02\0\0\0"
    assert int.from_bytes(content[8:12], "little") == len(content)
