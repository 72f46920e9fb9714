"""The fit of landmarks in the image: against scipy's optimiser, and what it is there for."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from handmesh.registration import Registrar
from models.registration import fit_landmarks
from models.reprojection import LandmarkRegistration, fit_distances, refine
from tests.models.test_registration import SIZE, camera, project, random_hands


def linear_fit(joints, landmarks, K):
    return fit_landmarks(joints, landmarks, torch.ones(len(joints), 21), K)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31 - 1), noise_px=st.floats(0, 4))
def test_the_weighted_distances_in_the_image_are_smallest(seed, noise_px):
    joints, truth = random_hands(3, seed, depth=(0.5, 1.0))
    K, generator = camera(3), torch.Generator().manual_seed(seed)
    landmarks = project(joints + truth[:, None], K)
    landmarks += noise_px * torch.randn(landmarks.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(3, 21, generator=generator, dtype=torch.float64)
    start = linear_fit(joints, landmarks, K)
    found = refine(*start, joints, landmarks, weight, K, SIZE)
    in_use = fit_distances(start[0], joints, landmarks, weight, K, SIZE)[1]
    assert in_use.sum(-1).min() > 10
    for hand in range(3):
        used = in_use[hand]

        def distances(translation, hand=hand, used=used):
            moved = joints[hand] + torch.from_numpy(translation)
            error = project(moved[None], K[:1])[0] - landmarks[hand]
            return (error * weight[hand, :, None].sqrt())[used].flatten().numpy()

        best = least_squares(distances, truth[hand].numpy(), xtol=1e-12, ftol=1e-12, gtol=1e-12).x
        np.testing.assert_allclose(found.translation_m[hand].numpy(), best, atol=1e-4)
        error = project((joints[hand] + found.translation_m[hand])[None], K[:1])[0] - landmarks[hand]
        assert np.isclose(found.residual_px[hand], error[used].square().sum(-1).mean().sqrt(), atol=1e-9)


def test_a_mesh_that_is_unsure_does_not_bring_the_hand_nearer():
    """Means of possible hands are smaller than hands: joints = mean + what the network could not know."""
    mean, truth = random_hands(400, 5, depth=(0.6, 0.8))
    generator = torch.Generator().manual_seed(6)
    unknown = 0.015 * torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    K = camera(400)
    landmarks = project(mean + unknown + truth[:, None], K)
    linear = linear_fit(mean, landmarks, K)
    found = refine(*linear, mean, landmarks, torch.ones(400, 21, dtype=torch.float64), K, SIZE)
    linear_bias = (linear[0][:, 2] / truth[:, 2]).median() - 1
    bias = (found.translation_m[:, 2] / truth[:, 2]).median() - 1
    assert linear_bias < -0.05
    assert abs(bias) < 0.02


def test_outliers_are_left_out():
    joints, truth = random_hands(2, 3, depth=(0.6, 0.8))
    K = camera(2)
    landmarks = project(joints + truth[:, None], K)
    landmarks[0, ::4] += 40  # six, the same way
    start, used = linear_fit(joints, landmarks, K)
    found = refine(start + 0.02, used, joints, landmarks, torch.ones(2, 21, dtype=torch.float64), K, SIZE)
    torch.testing.assert_close(found.translation_m, truth, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.residual_px, torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_nothing_worse_and_nothing_without_weight():
    joints, truth = random_hands(2, 2)
    K = camera(2)
    landmarks = project(joints + truth[:, None], K)
    weight = torch.ones(2, 21, dtype=torch.float64)
    weight[1] = 0
    start, used = linear_fit(joints, landmarks, K)
    found = refine(start, used, joints, landmarks, weight, K, SIZE)
    torch.testing.assert_close(found.translation_m, truth, atol=1e-8, rtol=0)
    assert found.success.all()


def test_hands_of_any_size_are_found_at_any_distance():
    joints, truth = random_hands(4, 9, depth=(0.5, 1.0))
    size = torch.tensor([0.1, 0.5, 3.0, 10.0], dtype=torch.float64)[:, None]
    landmarks = project(joints + truth[:, None], camera(4))
    weight = torch.ones(4, 21, dtype=torch.float64)
    found = LandmarkRegistration()(joints * size[..., None], landmarks, weight, camera(4), SIZE)
    torch.testing.assert_close(found.translation_m, truth * size, atol=1e-6, rtol=0)
    assert found.success.all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31 - 1), noise_px=st.floats(0, 20))
def test_the_exported_file_does_the_same(seed, noise_px):
    joints, truth = random_hands(3, seed)
    K, generator = camera(3), torch.Generator().manual_seed(seed)
    landmarks = project(joints + truth[:, None], K)
    landmarks += noise_px * torch.randn(landmarks.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(3, 21, generator=generator, dtype=torch.float64)
    weight[1, :12] = 0
    expected = LandmarkRegistration()(joints, landmarks, weight, K, SIZE)
    found = Registrar("landmarks")(joints=joints, landmarks_px=landmarks, confidence=weight, K=K, image_size=SIZE)
    np.testing.assert_allclose(found["translation_m"], expected.translation_m, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found["residual_px"], expected.residual_px, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(found["success"], expected.success)
