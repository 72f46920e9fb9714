"""The open hand as a model, and its pose fitted to meshes and landmarks: hands that the generator poses come back."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import handmesh
from datasets.synthesis.contact import Settler, capsule_radii
from datasets.synthesis.generator import joints_scale, sample_shape
from datasets.synthesis.hand import load_open_hand
from datasets.synthesis.kinematics import bone_transforms, skin
from datasets.synthesis.poses import sample_pose
from handmesh.geometry import project
from handmesh.hand_model import Posture, load_hand_model, rotation_matrices, rotation_vector
from handmesh.joints import hand_length
from handmesh.pose import fit_hands, pose_of
from handmesh.skeleton import ANGLE_NAMES, BONE_INDEX, BONES, FREE, LIMITS, NUM_BONES, PARENTS
from tests.handmesh.test_detection import picture

K = np.array([[480.0, 0, 111.5], [0, 480, 111.5], [0, 0, 1]])
COUNT = 16
LOW, HIGH = LIMITS[FREE[:, 0], FREE[:, 1]].T


@pytest.fixture(scope="module")
def model():
    return load_hand_model()


@pytest.fixture(scope="module")
def posed():
    """Angles (N, D) and vertices (N, V, 3) of hands in front of a camera, by the generator's own kinematics."""
    hand, rng = load_open_hand(), np.random.default_rng(3)
    angles, vertices = [], []
    for _ in range(COUNT):
        rest, joints, tips = hand.shaped(*sample_shape(rng, hand))
        settler = Settler(joints, tips, hand.axes, capsule_radii(hand) * joints_scale(hand, joints))
        pose = sample_pose(rng, settler)
        skinned = skin(rest, hand.weights, bone_transforms(pose.angles, joints, hand.axes))[hand.model_vertices]
        angles.append(pose.angles[FREE[:, 0], FREE[:, 1]])
        vertices.append(skinned @ Rotation.random(rng=rng).as_matrix().T + [0.02, -0.03, rng.uniform(0.4, 0.8)])
    return np.array(angles), np.array(vertices)


def landmarks(model, vertices):
    return np.stack([project(joints, K) for joints in model.joint_regressor @ vertices])


def fit(model, vertices, points):
    count = len(vertices)
    return fit_hands(model, vertices, points, np.ones((count, 21)), np.tile(K, (count, 1, 1)))


def apart(first, second):
    """Mean distance of vertices, wherever the hands are."""
    shapes = [points - points.mean(axis=1, keepdims=True) for points in (first, second)]
    return np.linalg.norm(shapes[0] - shapes[1], axis=2).mean()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_derivatives_are_those_of_differences(seed):
    model, rng = load_hand_model(), np.random.default_rng(seed)
    posture = Posture(rng.uniform(LOW, HIGH, (2, len(FREE))), rng.normal(0, 0.4, (2, len(model.shape_mean))))
    found = model.points(posture)[1]
    step = 1e-6
    for number in range(found.shape[1]):
        change = np.zeros(found.shape[1])
        change[number] = step
        angles, shape = np.split(change, [len(FREE)])
        there, here = (
            model.points(Posture(posture.angles + sign * angles, posture.shape + sign * shape))[0] for sign in (1, -1)
        )
        np.testing.assert_allclose(found[:, number], (there - here) / (2 * step), atol=1e-7)


def test_the_model_moves_as_the_generator_does(model):
    hand, rng = load_open_hand(), np.random.default_rng(0)
    posture = Posture(rng.uniform(LOW, HIGH, (1, len(FREE))), np.zeros((1, len(model.shape_mean))))
    angles = np.zeros((NUM_BONES, 3))
    angles[FREE[:, 0], FREE[:, 1]] = posture.angles[0]
    expected = skin(hand.vertices, hand.weights, bone_transforms(angles, hand.joints, hand.axes))[hand.model_vertices]
    np.testing.assert_allclose(model.pose(posture)[0], expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1.7, 1.7)] * 3))
def test_rotation_vectors_and_matrices_are_inverse(vector):
    (matrix,) = rotation_matrices(np.array([vector]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix, cv2.Rodrigues(np.array(vector))[0], atol=1e-9)
    np.testing.assert_allclose(rotation_vector(matrix), vector, atol=2e-5)  # OpenCV takes less for no turn


def test_an_exact_mesh_gives_the_exact_pose(model, posed):
    angles, vertices = posed
    found = fit(model, vertices, landmarks(model, vertices))
    assert np.median(np.rad2deg(np.abs(found.posture.angles - angles))) < 1
    assert apart(found.vertices_m, vertices) < 0.0015
    assert np.linalg.norm(landmarks(model, found.vertices_m) - landmarks(model, vertices), axis=2).mean() < 1


@pytest.mark.parametrize("size", [0.6, 1.3])
def test_a_pose_is_as_long_as_the_mesh_and_seen_in_the_same_place(model, posed, size):
    mesh = size * posed[1][0]
    points = landmarks(model, mesh[None])[0]
    pose = pose_of("right", mesh, points, np.ones(21), K)
    assert pose.length_m == pytest.approx(hand_length(model.joint_regressor @ mesh), rel=1e-6)
    np.testing.assert_allclose(project(pose.joints_m, K), points, atol=3)


def test_no_joint_leaves_its_limits(model, posed):
    vertices = posed[1] + np.random.default_rng(0).normal(0, 0.02, posed[1].shape)
    found = fit(model, vertices, landmarks(model, vertices))
    assert (found.posture.angles >= LOW).all()
    assert (found.posture.angles <= HIGH).all()
    assert np.isfinite(found.vertices_m).all()


def test_landmarks_correct_a_mesh_that_is_off(model, posed):
    vertices, rng = posed[1], np.random.default_rng(1)
    points = landmarks(model, vertices)
    wrong = fit(model, vertices, points + rng.normal(0, 8, points.shape)).vertices_m
    before = np.linalg.norm(landmarks(model, wrong) - points, axis=2).mean()
    found = fit(model, wrong, points).vertices_m
    assert np.linalg.norm(landmarks(model, found) - points, axis=2).mean() < 0.8 * before


def test_one_landmark_far_off_changes_little(model, posed):
    vertices = posed[1]
    points = landmarks(model, vertices)
    expected = fit(model, vertices, points).vertices_m
    points[:, 8] += 80
    assert apart(fit(model, vertices, points).vertices_m, expected) < 0.0015


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_frames_are_as_documented(model, posed, side):
    vertices, points = posed[1][0], landmarks(model, posed[1])[0]
    if side == "left":
        vertices, points = vertices * [-1, 1, 1], points * [-1, 1] + [2 * K[0, 2], 0]
    pose = pose_of(side, vertices, points, np.ones(21), K)
    mirror = np.diag([-1.0, 1, 1]) if side == "left" else np.eye(3)
    world = np.empty((NUM_BONES, 3, 3))
    for bone, parent in enumerate(PARENTS):
        world[bone] = pose.rotations[bone] if parent < 0 else world[parent] @ pose.rotations[bone]
    rest = model.joints + np.tensordot(pose.shape, model.shape_joints, 1)
    first, second = BONE_INDEX["index_1"], BONE_INDEX["index_2"]
    bone = pose.wrist_pose[:3, :3] @ world[first] @ mirror @ (rest[second] - rest[first])
    seen = pose.joints_m[6] - pose.joints_m[5]
    cosine = bone @ seen / np.linalg.norm(bone) / np.linalg.norm(seen)
    assert np.rad2deg(np.arccos(cosine)) < 15  # joints of the annotation are not the axes that bones turn about
    assert np.linalg.det(pose.wrist_pose[:3, :3]) == pytest.approx(1)
    assert np.linalg.norm(pose.wrist_pose[:3, 3] - pose.joints_m[0]) < 0.02
    expected = Rotation.from_matrix(pose.rotations)
    np.testing.assert_allclose(pose.rotation_vectors, expected.as_rotvec(), atol=1e-6)
    np.testing.assert_allclose(
        Rotation.from_quat(pose.quaternions, scalar_first=True).as_matrix(), pose.rotations, atol=1e-6
    )
    assert np.linalg.norm(pose.vertices_m - vertices, axis=1).mean() < 0.02


def test_a_left_hand_is_the_mirror_image_of_a_right_one(model, posed):
    vertices, points = posed[1][1], landmarks(model, posed[1])[1]
    right = pose_of("right", vertices, points, np.ones(21), K)
    left = pose_of("left", vertices * [-1, 1, 1], points * [-1, 1] + [2 * K[0, 2], 0], np.ones(21), K)
    assert left.joint_angles_deg == pytest.approx(right.joint_angles_deg, abs=1e-6)
    np.testing.assert_allclose(left.vertices_m * [-1, 1, 1], right.vertices_m, atol=1e-9)


def test_hands_of_photos_have_poses():
    (hand,) = handmesh.load()(picture("palm"))
    assert tuple(hand.pose.joint_angles_deg) == ANGLE_NAMES
    assert hand.pose.rotations.shape == (len(BONES), 3, 3)
    assert abs(hand.pose.joint_angles_deg["middle_pip_flexion"]) < 25  # an open hand
    assert np.linalg.norm(hand.pose.joints_m - hand.joints_m, axis=1).mean() < 0.03
    with pytest.raises(handmesh.InputError, match="open_hand"):
        _ = replace(hand, has_pose=False).pose
