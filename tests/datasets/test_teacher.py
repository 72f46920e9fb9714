"""Landmarks averaged over looks, and where another network's joints are on the open hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datasets.teacher import SHARES, as_our_joints, averaged_landmarks, fit_offsets, joint_frames, mean_joints
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
    again = mirrored.mirrored(image.shape[1])
    np.testing.assert_allclose(again.landmarks_px, hand.landmarks_px, atol=0.5)
    np.testing.assert_allclose(again.shapes[0], hand.shapes[0], atol=2)  # pixels of the network's square
    np.testing.assert_allclose(again.shapes[1], hand.shapes[1], atol=0.002)


def test_shapes_are_turned_as_the_picture_is(detector):
    image = read_image(ROOT / "images/palm_img.jpg")
    around = detector(image)[0].landmarks_px
    hand = averaged_landmarks(detector, image, around)
    upside_down = averaged_landmarks(
        detector, np.ascontiguousarray(image[::-1, ::-1]), np.subtract(image.shape[1::-1], 1) - around
    )
    np.testing.assert_allclose(upside_down.shapes[1] * [-1, -1, 1], hand.shapes[1], atol=0.002)


def test_what_is_no_hand_is_told_apart(detector):
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    around = np.random.default_rng(1).uniform(60, 160, (NUM_JOINTS, 2))
    assert averaged_landmarks(detector, noise, around).presence < 0.5


@pytest.fixture(scope="module")
def turned_hands(template):
    """Joints (200, 21, 3) of hands in front of a camera, each turned at random and a little different."""
    rng = np.random.default_rng(2)
    joints = template.joint_regressor @ (template.vertices - template.vertices.mean(axis=0))
    turned = np.stack([joints @ Rotation.random(rng=rng).as_matrix().T for _ in range(200)])
    return turned + rng.normal(0, 0.004, turned.shape) + np.array([0, 0, 0.6])


def test_the_mean_with_one_who_says_the_same_elsewhere_and_larger_is_ours(turned_hands):
    rng = np.random.default_rng(3)
    said = np.stack(
        [
            np.stack(
                [
                    rng.uniform(1, 500) * one @ Rotation.random(rng=rng).as_matrix().T + rng.normal(size=3)
                    for _ in SHARES
                ]
            )
            for one in turned_hands
        ]
    )
    mean, apart = mean_joints(turned_hands, said)
    np.testing.assert_allclose(mean, turned_hands, atol=1e-9)
    np.testing.assert_allclose(apart, 0, atol=1e-9)


def test_the_mean_is_nearer_to_the_truth_than_ours_and_far_ones_are_told(turned_hands):
    rng = np.random.default_rng(4)
    ours = turned_hands + rng.normal(0, 0.006, turned_hands.shape)
    said = turned_hands[:, None] + rng.normal(0, 0.008, (len(ours), len(SHARES), NUM_JOINTS, 3))
    said[0] = said[0, :, ::-1]  # nothing like the hand
    mean, apart = mean_joints(ours, said)
    before, after = (np.linalg.norm(one - turned_hands, axis=2)[1:].mean() for one in (ours, mean))
    assert after < 0.85 * before
    assert apart.argmax() == 0


def test_offsets_of_joints_are_found_and_taken_away(turned_hands):
    rng, turned = np.random.default_rng(5), turned_hands
    K = np.tile(np.array([[500.0, 0, 110], [0, 500, 110], [0, 0, 1]]), (len(turned), 1, 1))
    offsets = rng.uniform(-0.05, 0.05, (NUM_JOINTS, 4))
    moved = turned + np.einsum("npik,pk->npi", joint_frames(turned), offsets)
    seen = np.stack([project(one, k) for one, k in zip(moved, K, strict=True)])
    found = fit_offsets(seen, turned, K)
    ours = as_our_joints(seen, found, turned, K)
    expected = np.stack([project(one, k) for one, k in zip(turned, K, strict=True)])
    before = np.linalg.norm(seen - expected, axis=2).mean()
    assert np.linalg.norm(ours - expected, axis=2).mean() < 0.05 * before
