"""Animated hands as binary glTF: skinned by the rules of the format, they are the hands that were tracked."""

import json
import struct

import bvh
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from handmesh.bvh import bvh_text
from handmesh.hand_model import Posture, load_hand_model
from handmesh.pose import HandPose
from handmesh.rig import animated_glb, by_track
from handmesh.skeleton import ANGLE_NAMES, BONES, FREE, LIMITS, PARENTS
from handmesh.video_results import row_type

FRAMES = 7
KINDS = {5126: "<f4", 5121: "u1", 5123: "<u2"}
SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
LOW, HIGH = LIMITS[FREE[:, 0], FREE[:, 1]].T


@pytest.fixture(scope="module")
def faces():
    right = load_hand_model().faces
    return {"right": right, "left": right[:, ::-1]}


@pytest.fixture(scope="module")
def rows():
    """Two hands that move at random between two poses."""
    model, rng = load_hand_model(), np.random.default_rng(0)
    rows = np.zeros(2 * FRAMES, row_type(len(model.vertices), len(model.shape_mean)))
    for track, side in enumerate(("right", "left"), 1):
        shape = model.shape_mean + rng.normal(0, 0.2, model.shape_mean.shape)
        start, end = rng.uniform(LOW, HIGH, (2, len(ANGLE_NAMES)))
        turn = rng.normal(0, 1, 3)
        for number in range(FRAMES):
            share = number / (FRAMES - 1)
            pose = HandPose(
                side, start + share * (end - start), np.zeros(len(ANGLE_NAMES)), shape, 1.1,
                Rotation.from_rotvec(3 * share * turn).as_matrix(), np.array([0.1 * track - 0.2, 0.05 * share, 0.6]),
            )  # fmt: skip
            row = rows[FRAMES * (track - 1) + number]
            for name in ("angles", "quaternions", "shape", "size", "wrist_pose", "vertices_m"):
                row[name] = getattr(pose, name)
            row["frame"], row["time_s"], row["track"], row["right"] = number, number / 30, track, side == "right"
    return rows


class Reader:
    """A glTF file, skinned as the format says."""

    def __init__(self, content):
        length = struct.unpack("<I", content[12:16])[0]
        self.document = json.loads(content[20 : 20 + length])
        self.binary = content[20 + length + 8 :]
        self.nodes = self.document.get("nodes", [])

    def array(self, number):
        accessor = self.document["accessors"][number]
        view = self.document["bufferViews"][accessor["bufferView"]]
        count = accessor["count"] * SIZES[accessor["type"]]
        kind = KINDS[accessor["componentType"]]
        return np.frombuffer(self.binary, kind, count, view["byteOffset"]).reshape(accessor["count"], -1)

    def skinned(self, name, frame):
        places = [(np.array(node.get("translation", [0, 0, 0])), np.array([0, 0, 0, 1])) for node in self.nodes]
        (animation,) = self.document["animations"]
        for channel in animation["channels"]:
            value = self.array(animation["samplers"][channel["sampler"]]["output"])[frame]
            node = channel["target"]["node"]
            moved = channel["target"]["path"] == "translation"
            places[node] = (value, places[node][1]) if moved else (places[node][0], value)
        world = {}

        def place(number, above):
            own = np.eye(4)
            own[:3, 3], own[:3, :3] = places[number][0], Rotation.from_quat(places[number][1]).as_matrix()
            world[number] = above @ own
            for child in self.nodes[number].get("children", []):
                place(child, world[number])

        for root in self.document["scenes"][0]["nodes"]:
            place(root, np.eye(4))
        (node,) = [node for node in self.nodes if node["name"] == name]
        skin, mesh = self.document["skins"][node["skin"]], self.document["meshes"][node["mesh"]]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        moves = np.array([world[joint] @ one for joint, one in zip(skin["joints"], inverse, strict=True)])
        (primitive,) = mesh["primitives"]
        rest, bones, weights = (
            self.array(primitive["attributes"][key]) for key in ("POSITION", "JOINTS_0", "WEIGHTS_0")
        )
        homogeneous = np.column_stack([rest, np.ones(len(rest))])
        return np.einsum("vk,vkij,vj->vi", weights, moves[bones], homogeneous)[:, :3]


def test_skinned_hands_are_the_tracked_ones(rows, faces):
    reader = Reader(animated_glb(by_track(rows), faces))
    for number, name in enumerate(by_track(rows)):
        for frame in (0, 3, FRAMES - 1):
            expected = rows["vertices_m"][number * FRAMES + frame] * [1, -1, -1]
            off = np.linalg.norm(reader.skinned(name, frame) - expected, axis=1)
            assert np.median(off) < 1e-6
            assert off.max() < 0.002  # some vertices hang on more bones than the format has room for


def test_nodes_are_the_bones(rows, faces):
    reader = Reader(animated_glb(by_track(rows), faces))
    names = {node["name"] for node in reader.nodes}
    assert names == {"right_1", "left_2", *(f"{hand}_{bone}" for hand in ("right_1", "left_2") for bone in BONES)}
    (animation,) = reader.document["animations"]
    times = reader.array(animation["samplers"][0]["input"])
    np.testing.assert_allclose(times[:, 0], np.arange(FRAMES) / 30, atol=1e-6)


def test_rotations_do_not_jump_to_the_other_sign(rows, faces):
    reader = Reader(animated_glb(by_track(rows), faces))
    (animation,) = reader.document["animations"]
    for channel in animation["channels"]:
        if channel["target"]["path"] == "rotation":
            values = reader.array(animation["samplers"][channel["sampler"]]["output"])
            assert ((values[1:] * values[:-1]).sum(axis=1) >= 0).all()
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)


def test_bvh_is_read_back_with_the_bones_where_they_were(rows):
    model = load_hand_model()
    for own in by_track(rows).values():
        motion = bvh.Bvh(bvh_text(own))
        assert motion.nframes == FRAMES
        assert motion.frame_time == pytest.approx(1 / 30, abs=1e-5)
        world = {}
        for bone, name in enumerate(BONES):
            parent = world[BONES[PARENTS[bone]]] if bone else np.eye(4)
            local = np.eye(4)
            turns = [motion.frame_joint_channel(4, name, f"{axis}rotation") for axis in "ZXY"]
            local[:3, :3] = Rotation.from_euler("ZXY", turns, degrees=True).as_matrix()
            places = [motion.frame_joint_channel(4, name, f"{axis}position") for axis in "XYZ"] if not bone else []
            local[:3, 3] = places or motion.joint_offset(name)
            world[name] = parent @ local
        side = "right" if own["right"][0] else "left"
        row = own[4]
        pose = HandPose(
            side, row["angles"], row["angles"], row["shape"], row["size"], row["wrist_pose"][:3, :3],
            row["wrist_pose"][:3, 3],
        )  # fmt: skip
        posture = Posture(pose.angles[None].astype(float), pose.shape[None].astype(float))
        mirror = np.diag([-1.0, 1, 1]) if side == "left" else np.eye(3)
        bones, (_, rest) = model.bones(posture), model.rest(posture.shape)
        begin = np.einsum("bij,bj->bi", bones.rotations[0], rest[0]) + bones.offsets[0]
        origins = row["size"] * begin @ mirror @ pose.wrist_rotation.T + pose.wrist_position_m
        found = np.array([world[name][:3, 3] for name in BONES])
        np.testing.assert_allclose(found / 100 * [1, -1, -1], origins, atol=1e-4)


def test_a_video_without_hands_is_an_empty_scene(rows, faces):
    document = Reader(animated_glb(by_track(rows[:0]), faces)).document
    assert "animations" not in document
    assert "meshes" not in document
