"""The open hand fitted to meshes and landmarks: hands that the generator poses come back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datasets.fitting import HandFitter
from datasets.synthesis.contact import FREE, LIMITS, Settler, capsule_radii
from datasets.synthesis.generator import joints_scale, sample_shape
from datasets.synthesis.kinematics import bone_transforms, skin
from datasets.synthesis.poses import sample_pose
from handmesh.geometry import project

K = np.array([[480.0, 0, 111.5], [0, 480, 111.5], [0, 0, 1]])
COUNT = 12


@pytest.fixture(scope="module")
def fitter():
    return HandFitter()


@pytest.fixture(scope="module")
def posed(fitter):
    """Angles (N, D) and vertices (N, 750, 3) of hands in front of a camera."""
    hand, rng = fitter.hand, np.random.default_rng(3)
    angles, vertices = [], []
    for _ in range(COUNT):
        rest, joints, tips = hand.shaped(*sample_shape(rng, hand))
        settler = Settler(joints, tips, hand.axes, capsule_radii(hand) * joints_scale(hand, joints))
        pose = sample_pose(rng, settler)
        skinned = skin(rest, hand.weights, bone_transforms(pose.angles, joints, hand.axes))[hand.model_vertices]
        angles.append(pose.angles[FREE[:, 0], FREE[:, 1]])
        vertices.append(skinned @ Rotation.random(rng=rng).as_matrix().T + [0.02, -0.03, rng.uniform(0.4, 0.8)])
    return np.array(angles), np.array(vertices)


def landmarks(fitter, vertices):
    return np.stack([project(joints, K) for joints in fitter.joint_regressor @ vertices])


def fit(fitter, vertices, points, **arguments):
    return fitter.fit(vertices, points, np.tile(K, (len(vertices), 1, 1)), **arguments)


def test_a_posed_hand_comes_back(fitter, posed):
    angles, vertices = posed
    found = fit(fitter, vertices, landmarks(fitter, vertices))
    assert np.median(np.rad2deg(np.abs(found.angles - angles))) < 3
    again = fitter.vertices(found)
    shape = [points - points.mean(axis=1, keepdims=True) for points in (again, vertices)]
    assert np.linalg.norm(shape[0] - shape[1], axis=2).mean() < 0.003
    seen = np.linalg.norm(landmarks(fitter, again) - landmarks(fitter, vertices), axis=2)
    assert seen.mean() < 1.5


def test_no_joint_leaves_its_limits(fitter, posed):
    rng = np.random.default_rng(0)
    vertices = posed[1] + rng.normal(0, 0.02, posed[1].shape)
    found = fit(fitter, vertices, landmarks(fitter, vertices))
    low, high = LIMITS[FREE[:, 0], FREE[:, 1]].T
    assert (found.angles >= low).all()
    assert (found.angles <= high).all()
    assert np.isfinite(fitter.vertices(found)).all()


def test_landmarks_correct_a_mesh_that_is_off(fitter, posed):
    vertices = posed[1]
    points = landmarks(fitter, vertices)
    rng = np.random.default_rng(1)
    wrong = fit(fitter, vertices, points + rng.normal(0, 8, points.shape))
    meshes = fitter.vertices(wrong)
    before = np.linalg.norm(landmarks(fitter, meshes) - points, axis=2).mean()
    after = fitter.vertices(fit(fitter, meshes, points, mesh_sigma_m=0.04))
    assert np.linalg.norm(landmarks(fitter, after) - points, axis=2).mean() < 0.6 * before


def test_one_landmark_far_off_changes_little(fitter, posed):
    vertices = posed[1]
    points = landmarks(fitter, vertices)
    expected = fitter.vertices(fit(fitter, vertices, points))
    points[:, 8] += 80
    found = fitter.vertices(fit(fitter, vertices, points))
    shape = [one - one.mean(axis=1, keepdims=True) for one in (found, expected)]
    assert np.linalg.norm(shape[0] - shape[1], axis=2).mean() < 0.0015
