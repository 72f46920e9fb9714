"""Loss terms against closed forms and numerical gradients."""

import pytest
import torch

from models.losses import cmr_loss, edge_length_loss, normal_loss, pose_loss
from utils.metrics import fit_similarity, point_errors

FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
SQUARE = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]], dtype=torch.float64)


def test_edges_in_the_target_plane_cost_nothing():
    assert normal_loss(SQUARE * 3, SQUARE, FACES) == 0
    assert edge_length_loss(SQUARE, SQUARE, FACES) == 0


def test_normal_loss_is_the_mean_sine_of_the_tilt():
    angle = torch.tensor(0.3, dtype=torch.float64)
    tilt = torch.stack([SQUARE[..., 0], SQUARE[..., 1] * angle.cos(), SQUARE[..., 1] * angle.sin()], dim=-1)
    # Of six edges, one per face runs along the axis, one along the slope, one along the diagonal.
    expected = (angle.sin() + angle.sin() / 2**0.5) / 3
    torch.testing.assert_close(normal_loss(tilt, SQUARE, FACES), expected)


def test_edge_length_loss_of_a_scaled_square():
    # Per face: two edges of 1 and one of sqrt(2), doubled.
    torch.testing.assert_close(edge_length_loss(2 * SQUARE, SQUARE, FACES).item(), (2 + 2**0.5) / 3)


@pytest.mark.parametrize("loss", [normal_loss, edge_length_loss])
def test_gradients(loss):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, target, FACES), prediction)


def random_joints(seed, batch=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, batch, 21, 3, generator=generator, dtype=torch.float64)


def test_pose_loss_is_the_error_after_procrustes_alignment():
    target, other = random_joints(2)
    prediction = 0.3 * (target + 0.3 * other) + 5
    errors = [
        point_errors(a, fit_similarity(a, b)[1]).mean() for a, b in zip(target.numpy(), prediction.numpy(), strict=True)
    ]
    torch.testing.assert_close(pose_loss(prediction, target).item(), sum(errors) / len(errors))


def test_pose_loss_does_not_take_a_left_hand_for_a_right_one():
    target, _ = random_joints(3)
    assert pose_loss(target * 2 + 1, target) < 1e-12
    assert pose_loss(target * torch.tensor([-1, 1, 1]), target) > 0.1


def test_pose_loss_leads_to_the_pose():
    target, other = random_joints(4)
    prediction = (target + 0.3 * other).requires_grad_()
    optimiser = torch.optim.Adam([prediction], lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        loss = pose_loss(prediction, target)
        loss.backward()
        optimiser.step()
    assert loss < 0.02 < pose_loss(target + 0.3 * other, target)


def test_pose_loss_of_a_hand_without_extent_is_finite():
    target, _ = random_joints(5)
    prediction = torch.zeros_like(target, requires_grad=True)
    loss = pose_loss(prediction, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()


def batch(levels=4):
    generator = torch.Generator().manual_seed(1)
    meshes = [torch.randn(2, 4, 3, generator=generator) for _ in range(levels)]
    output = {
        "mesh_pred": [torch.randn(2, 4, 3, generator=generator) for _ in range(4)],
        "uv_pred": torch.randn(2, 21, 8, 8, generator=generator),
        "mask_pred": torch.randn(2, 8, 8, generator=generator),
    }
    return output, meshes, torch.rand(2, 21, 8, 8, generator=generator), torch.rand(2, 8, 8, generator=generator)


def test_the_sum_is_the_stated_weights_times_the_terms():
    output, meshes, heatmaps, silhouette = batch()
    terms = cmr_loss(output, meshes, heatmaps, silhouette, FACES)
    maps = torch.nn.functional.binary_cross_entropy(output["uv_pred"].sigmoid(), heatmaps)
    mask = torch.nn.functional.binary_cross_entropy(output["mask_pred"].sigmoid(), silhouette)
    levels = sum((a - b).abs().mean() for a, b in zip(output["mesh_pred"], meshes, strict=True))
    normal = normal_loss(output["mesh_pred"][0], meshes[0], FACES)
    edge = edge_length_loss(output["mesh_pred"][0], meshes[0], FACES)
    torch.testing.assert_close(terms["loss"], levels + 10 * maps + 0.5 * mask + 0.1 * normal + edge)


def test_only_the_supervised_levels_count():
    output, meshes, heatmaps, silhouette = batch()
    all_levels = cmr_loss(output, meshes, heatmaps, silhouette, FACES)["loss"]
    finest = cmr_loss(output, meshes[:1], heatmaps, silhouette, FACES)["loss"]
    rest = sum((a - b).abs().mean() for a, b in zip(output["mesh_pred"][1:], meshes[1:], strict=True))
    torch.testing.assert_close(all_levels - finest, rest)


def test_losses_are_float32_for_a_bf16_network():
    output, meshes, heatmaps, silhouette = batch()
    half = {
        key: [mesh.bfloat16() for mesh in value] if isinstance(value, list) else value.bfloat16()
        for key, value in output.items()
    }
    assert all(term.dtype == torch.float32 for term in cmr_loss(half, meshes, heatmaps, silhouette, FACES).values())
