"""Landmarks averaged over looks, and where another network's joints are on the open hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datasets.teacher import as_our_joints, averaged_landmarks, fit_offsets, joint_frames
from handmesh.detector import HandDetector
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from utils.template import ROOT


@pytest.fixture(scope="module")
def detector():
    return HandDetector()


@pytest.mark.parametrize("name", ["palm", "back"])
def test_looks_agree_on_a_clear_hand_and_on_its_mirror_image(detector, name):
    image = read_image(ROOT / f"images/{name}_img.jpg")
    around = detector(image)[0].landmarks_px
    hand = averaged_landmarks(detector, image, around)
    assert hand.spread < 0.03
    assert min(hand.presence, hand.right) > 0.9
    last = image.shape[1] - 1
    mirrored = averaged_landmarks(detector, np.ascontiguousarray(image[:, ::-1]), around * [-1, 1] + [last, 0])
    assert mirrored.right < 0.1
    np.testing.assert_allclose(mirrored.landmarks_px * [-1, 1] + [last, 0], hand.landmarks_px, atol=0.5)


def test_what_is_no_hand_is_told_apart(detector):
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    around = np.random.default_rng(1).uniform(60, 160, (NUM_JOINTS, 2))
    assert averaged_landmarks(detector, noise, around).presence < 0.5


def test_offsets_of_joints_are_found_and_taken_away(template):
    rng = np.random.default_rng(2)
    joints = template.joint_regressor @ (template.vertices - template.vertices.mean(axis=0))
    turned = np.stack([joints @ Rotation.random(rng=rng).as_matrix().T for _ in range(200)])
    turned += rng.normal(0, 0.004, turned.shape) + np.array([0, 0, 0.6])
    K = np.tile(np.array([[500.0, 0, 110], [0, 500, 110], [0, 0, 1]]), (len(turned), 1, 1))
    offsets = rng.uniform(-0.05, 0.05, (NUM_JOINTS, 4))
    moved = turned + np.einsum("npik,pk->npi", joint_frames(turned), offsets)
    seen = np.stack([project(one, k) for one, k in zip(moved, K, strict=True)])
    found = fit_offsets(seen, turned, K)
    ours = as_our_joints(seen, found, turned, K)
    expected = np.stack([project(one, k) for one, k in zip(turned, K, strict=True)])
    before = np.linalg.norm(seen - expected, axis=2).mean()
    assert np.linalg.norm(ours - expected, axis=2).mean() < 0.05 * before
