"""The fit of landmarks in the image: against scipy's optimiser, and what it is there for."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from models.registration import register
from models.reprojection import NEAR_PX, fit_distances, gauss_newton, gauss_newton_tensors, refine
from tests.test_registration import SIZE, camera, project, random_hands


def linear_fit(joints, landmarks, K):
    return register(joints, joints, landmarks, torch.ones(len(joints), 21), K, SIZE)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31 - 1), noise_px=st.floats(0, 4))
def test_the_weighted_distances_in_the_image_are_smallest(seed, noise_px):
    joints, truth = random_hands(3, seed, depth=(0.5, 1.0))
    K, generator = camera(3), torch.Generator().manual_seed(seed)
    landmarks = project(joints + truth[:, None], K)
    landmarks += noise_px * torch.randn(landmarks.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(3, 21, generator=generator, dtype=torch.float64)
    start = linear_fit(joints, landmarks, K)
    found = refine(start, joints, landmarks, weight, K, SIZE)
    in_use = fit_distances(start.translation_m, joints, landmarks, weight, K, SIZE)[1]
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
    found = refine(linear, mean, landmarks, torch.ones(400, 21), K, SIZE)
    linear_bias = (linear.translation_m[:, 2] / truth[:, 2]).median() - 1
    bias = (found.translation_m[:, 2] / truth[:, 2]).median() - 1
    assert linear_bias < -0.05
    assert abs(bias) < 0.02


def test_an_outlier_and_what_is_not_a_number_are_left_out():
    joints, truth = random_hands(2, 3, depth=(0.6, 0.8))
    K = camera(2)
    landmarks = project(joints + truth[:, None], K)
    landmarks[0, ::4] += 40  # six, the same way
    landmarks[1, 3] = torch.nan
    start = linear_fit(joints, landmarks, K)
    start = replace(start, translation_m=start.translation_m + 0.02)
    found = refine(start, joints, landmarks, torch.ones(2, 21), K, SIZE)
    torch.testing.assert_close(found.translation_m, truth, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.residual_px, torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31 - 1), noise_px=st.floats(0, 20), near_px=st.sampled_from([0.0, NEAR_PX]))
def test_compiled_loops_equal_the_tensor_operations(seed, noise_px, near_px):
    joints, truth = random_hands(3, seed)
    K, generator = camera(3), torch.Generator().manual_seed(seed)
    landmarks = project(joints + truth[:, None], K)
    landmarks += noise_px * torch.randn(landmarks.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(3, 21, generator=generator, dtype=torch.float64)
    weight[1, :12] = 0
    batch = (truth + 0.02, joints, landmarks, weight, K)
    torch.testing.assert_close(gauss_newton(*batch, near_px), gauss_newton_tensors(*batch, near_px), atol=1e-7, rtol=0)


def test_nothing_worse_and_nothing_without_weight():
    joints, truth = random_hands(3, 2)
    K = camera(3)
    landmarks = project(joints + truth[:, None], K)
    weight = torch.ones(3, 21)
    weight[1] = 0
    start = linear_fit(joints, landmarks, K)
    landmarks[2] = torch.nan
    found = refine(start, joints, landmarks, weight, K, SIZE)
    torch.testing.assert_close(found.translation_m, truth, atol=1e-8, rtol=0)
    assert found.success.tolist() == start.success.tolist()
    assert torch.isfinite(found.residual_px).all()
