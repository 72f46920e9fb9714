"""The open hand: its parts fit together, and bends the right way."""

import numpy as np
import pytest

from datasets.synthesis.generator import ADULT_LENGTH_M, CHILD_LENGTH_M, sample_shape
from datasets.synthesis.hand import bone_length, load_open_hand
from datasets.synthesis.kinematics import bone_transforms
from handmesh.errors import InputError
from handmesh.skeleton import BONE_INDEX, BONES, FINGERS, LIMITS_DEGREES, NUM_BONES, PARENTS


@pytest.fixture(scope="module")
def hand():
    return load_open_hand()


def posed_tips(hand, **degrees):
    angles = np.zeros((NUM_BONES, 3))
    for name, values in degrees.items():
        angles[BONE_INDEX[name]] = np.deg2rad(values)
    transforms = bone_transforms(angles, hand.joints, hand.axes)
    last = transforms[[BONE_INDEX[f"{finger}_3"] for finger in FINGERS]]
    return np.einsum("nij,nj->ni", last[:, :, :3], hand.tips) + last[:, :, 3]


def test_the_template_is_a_part_of_the_hand(hand, template):
    assert len(template.vertices) == len(hand.model_vertices) <= 800
    assert hand.model_vertices.max() < hand.num_hand_vertices
    np.testing.assert_allclose(template.vertices, hand.vertices[hand.model_vertices], atol=1e-6)
    assert len(hand.vertices) == len(hand.weights) > hand.num_hand_vertices
    assert hand.faces[: hand.num_hand_faces].max() < hand.num_hand_vertices


def test_weights_and_regressor_are_averages(hand, template):
    assert hand.weights.min() >= 0
    np.testing.assert_allclose(hand.weights.sum(axis=1), 1, atol=1e-5)
    assert template.joint_regressor.min() >= 0
    np.testing.assert_allclose(template.joint_regressor.sum(axis=1), 1, atol=1e-9)


def test_the_skeleton_is_a_tree_from_the_wrist():
    assert PARENTS[0] == -1
    assert all(0 <= parent < bone for bone, parent in enumerate(PARENTS) if bone)
    assert (LIMITS_DEGREES[..., 0] <= 0).all()
    assert (LIMITS_DEGREES[..., 1] >= 0).all()


def test_the_hand_has_one_edge_at_the_wrist(hand):
    edges = np.concatenate([hand.faces[: hand.num_hand_faces][:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    undirected, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert count.max() == 2
    rim = np.unique(undirected[count == 1])
    assert len(rim) == (count == 1).sum()  # one closed loop
    assert hand.vertices[rim, 1].max() < -0.01  # all behind the wrist
    assert np.ptp(hand.vertices[rim, 1]) < 0.02


def test_lengths_of_people(hand, rng):
    assert len(hand.shape_names) >= 10
    lengths = {True: [], False: []}
    for _ in range(300):
        coefficients, length = sample_shape(rng, hand)
        assert (coefficients >= hand.shape_ranges[:, 0]).all()
        assert (coefficients <= hand.shape_ranges[:, 1]).all()
        _, joints, tips = hand.shaped(coefficients, length)
        assert bone_length(joints, tips) == pytest.approx(length, rel=1e-5)
        lengths[bool(coefficients[hand.shape_names.index("child")] > 0)].append(length)
    assert ADULT_LENGTH_M[0] == 0.16 <= min(lengths[False]) < max(lengths[False]) <= 0.21 == ADULT_LENGTH_M[1]
    assert max(lengths[True]) <= CHILD_LENGTH_M[1] <= ADULT_LENGTH_M[0]


@pytest.mark.parametrize("finger", FINGERS[1:])
@pytest.mark.parametrize("part", [1, 2, 3])
def test_fingers_bend_towards_the_palm(hand, finger, part):
    rest = posed_tips(hand)[FINGERS.index(finger)]
    bent = posed_tips(hand, **{f"{finger}_{part}": (40, 0, 0)})[FINGERS.index(finger)]
    assert bent[2] > rest[2] + 0.003
    assert abs(bent[0] - rest[0]) < 0.4 * np.linalg.norm(bent - rest)


def test_fingers_spread_away_from_the_middle_one(hand):
    rest = posed_tips(hand)
    spread = posed_tips(hand, **{f"{finger}_1": (0, 10, 0) for finger in ("index", "ring", "little")})
    assert spread[1, 0] > rest[1, 0] + 0.005
    assert (spread[3:, 0] < rest[3:, 0] - 0.005).all()


def test_the_thumb_crosses_the_palm_and_lifts_off_it(hand):
    rest = posed_tips(hand)[0]
    for name in ("thumb_1", "thumb_2", "thumb_3"):
        assert posed_tips(hand, **{name: (30, 0, 0)})[0, 0] < rest[0] - 0.005
    assert posed_tips(hand, thumb_1=(0, 20, 0))[0, 2] > rest[2] + 0.005


def test_bones_turn_about_their_own_joints(hand, rng):
    angles = rng.normal(0, 0.4, (NUM_BONES, 3))
    transforms = bone_transforms(angles, hand.joints, hand.axes)
    for bone, parent in enumerate(PARENTS):
        if bone:
            seen = [transforms[one, :, :3] @ hand.joints[bone] + transforms[one, :, 3] for one in (bone, parent)]
            np.testing.assert_allclose(*seen, atol=1e-9)
        rotation = transforms[bone, :, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)  # axes are float32
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)
    assert len(BONES) == NUM_BONES == 19


def test_another_tree_of_bones_moves_them_otherwise(hand, rng, monkeypatch):
    angles = rng.normal(0, 0.4, (NUM_BONES, 3))
    before = bone_transforms(angles, hand.joints, hand.axes)
    monkeypatch.setattr("datasets.synthesis.kinematics.PARENTS", np.zeros_like(PARENTS) - 1)
    assert np.abs(bone_transforms(angles, hand.joints, hand.axes) - before).max() > 0.01


def test_a_damaged_hand_is_named(tmp_path):
    (tmp_path / "hand.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="hand.npz: cannot be read"):
        load_open_hand(tmp_path / "hand.npz")
