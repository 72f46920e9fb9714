"""Loss terms against closed forms and numerical gradients."""

import pytest
import torch

from models.losses import (
    USUAL_DISTANCE,
    cmr_loss,
    edge_length_loss,
    normal_loss,
    pose_loss,
    present_labels,
    projection_loss,
)
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
    prediction = 0.7 * (target + 0.3 * other) + 5
    errors = [
        point_errors(a, fit_similarity(a, b)[1]).mean() for a, b in zip(target.numpy(), prediction.numpy(), strict=True)
    ]
    torch.testing.assert_close(pose_loss(prediction, target).item(), sum(errors) / len(errors))


def test_pose_loss_does_not_take_a_left_hand_for_a_right_one():
    target, _ = random_joints(3)
    assert pose_loss(target * 2 + 1, target) < 1e-12
    assert pose_loss(target * torch.tensor([-1, 1, 1]), target) > 0.1


def test_gradient_of_the_pose_loss_takes_the_alignment_for_given():
    target, other = random_joints(4)
    prediction = (target + 0.3 * other).requires_grad_()
    (found,) = torch.autograd.grad(pose_loss(prediction, target), prediction)
    alignments = [fit_similarity(*hands)[0] for hands in zip(target.numpy(), prediction.detach().numpy(), strict=True)]
    errors = []
    for hand, goal, alignment in zip(prediction, target, alignments, strict=True):
        centered = hand - hand.mean(dim=0)
        scale = alignment.scale * alignment.target_norm / centered.detach().norm()
        aligned = scale * centered @ torch.from_numpy(alignment.rotation).T
        errors.append((aligned - goal + goal.mean(dim=0)).norm(dim=-1).mean())
    (expected,) = torch.autograd.grad(torch.stack(errors).mean(), prediction)
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-4])
def test_pose_loss_of_a_tiny_hand_is_finite(size):
    target, other = random_joints(5)
    prediction = (size * other).requires_grad_()
    loss = pose_loss(prediction, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert prediction.grad.abs().max() < 1


def test_pose_loss_of_a_network_that_diverged_says_so():
    target, _ = random_joints(5)
    assert pose_loss(target * torch.nan, target).isnan()


def seen_from(joints, distance, focal_px=400.0):
    """Pixels of root-relative joints (B, J, 3) whose root is straight ahead."""
    return focal_px * joints[..., :2] / (joints[..., 2:] + distance)


def test_projection_loss_of_what_a_camera_at_the_usual_distance_sees_is_nothing():
    joints, _ = 0.3 * random_joints(6)
    for size in (0.5, 1, 2):  # as large as it looks: neither size nor focal length is known
        landmarks = seen_from(size * joints, size * USUAL_DISTANCE) + torch.tensor([30.0, -20])
        assert projection_loss(joints, landmarks) < 1e-12
    shift = torch.zeros_like(landmarks)
    shift[:, 0, 0] = 21.0  # of one joint: after the shift back it is 20 pixels off, and the others one
    expected = (20 + 20 * 1) / 21 / 100
    torch.testing.assert_close(projection_loss(joints, landmarks + shift).item(), expected, atol=0.002, rtol=0)
    assert projection_loss(joints * torch.tensor([1, 1, -1]), landmarks) > 0.01


def test_gradient_of_the_projection_loss():
    joints, other = 0.3 * random_joints(7, batch=2)
    landmarks = seen_from(other, USUAL_DISTANCE)
    assert torch.autograd.gradcheck(projection_loss, (joints.requires_grad_(), landmarks))
    assert projection_loss(joints[:0], landmarks[:0]) == 0


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


def test_a_network_that_says_where_landmarks_are_has_more_to_learn():
    output, meshes, heatmaps, silhouette = batch()
    regressor = torch.rand(21, 4, generator=torch.Generator().manual_seed(2))
    without = cmr_loss(output, meshes, heatmaps, silhouette, FACES)["loss"]
    landmarks = torch.zeros(2, 21, 2)
    output["landmarks"] = landmarks + 50
    terms = cmr_loss(output, meshes, heatmaps, silhouette, FACES, landmarks, regressor)
    joints, target = regressor @ output["mesh_pred"][0], regressor @ meshes[0]
    expected = 50 / 100 + (joints - target).abs().mean() + 8 * pose_loss(joints, target)
    torch.testing.assert_close(terms["loss"] - without, expected)


def test_of_a_mirrored_hand_only_the_side_is_learned():
    output, meshes, heatmaps, silhouette = batch()
    log_odds = torch.tensor([-2.0, 0.5])
    terms = cmr_loss(
        output | {"mirrored": log_odds},
        meshes,
        heatmaps,
        silhouette,
        FACES,
        torch.zeros(2, 21, 2),
        present={"sides": torch.tensor([0])},
    )
    first = {
        name: [level[:1] for level in value] if isinstance(value, list) else value[:1] for name, value in output.items()
    }
    alone = cmr_loss(first, [mesh[:1] for mesh in meshes], heatmaps[:1], silhouette[:1], FACES)
    side = 0.5 * (torch.nn.functional.softplus(log_odds[0]) + torch.nn.functional.softplus(-log_odds[1])) / 2
    torch.testing.assert_close(terms["side_loss"], side)
    torch.testing.assert_close(terms["loss"] - side, alone["loss"])


def test_landmarks_of_mirrored_hands_do_not_count():
    output, meshes, heatmaps, silhouette = batch()
    regressor = torch.rand(21, 4, generator=torch.Generator().manual_seed(2))
    output |= {"mirrored": torch.zeros(2), "landmarks": torch.zeros(2, 21, 2)}
    one = {"sides": torch.tensor([1])}
    terms, moved = (
        cmr_loss(output, meshes, heatmaps, silhouette, FACES, landmarks, regressor, present=one)
        for landmarks in (torch.ones(2, 21, 2), torch.tensor([500.0, 1.0]).view(2, 1, 1).expand(2, 21, 2))
    )
    torch.testing.assert_close(terms["landmark_loss"], torch.tensor(0.01))
    torch.testing.assert_close(moved["loss"], terms["loss"])


def test_a_batch_of_mirrored_hands_teaches_nothing_but_that():
    output, meshes, heatmaps, silhouette = batch()
    output["mirrored"] = torch.zeros(2)
    leaves = [output["uv_pred"], output["mask_pred"], *output["mesh_pred"], output["mirrored"]]
    for leaf in leaves:
        leaf.requires_grad_()
    nobody = {"sides": torch.tensor([], dtype=torch.long)}
    terms = cmr_loss(output, meshes, heatmaps, silhouette, FACES, torch.zeros(2, 21, 2), present=nobody)
    terms["loss"].backward()
    assert all(not leaf.grad.any() for leaf in leaves[:-1])
    torch.testing.assert_close(leaves[-1].grad, torch.full((2,), -0.5 * 0.5 / 2))
    torch.testing.assert_close(terms["loss"], terms["side_loss"])


def test_losses_are_float32_for_a_bf16_network():
    output, meshes, heatmaps, silhouette = batch()
    half = {
        key: [mesh.bfloat16() for mesh in value] if isinstance(value, list) else value.bfloat16()
        for key, value in output.items()
    }
    assert all(term.dtype == torch.float32 for term in cmr_loss(half, meshes, heatmaps, silhouette, FACES).values())


NOTHING = torch.nan


def partial_batch():
    """Hand 0 has all labels; hand 1 some landmarks and joints in 3D alone."""
    output, meshes, heatmaps, silhouette = batch()
    generator = torch.Generator().manual_seed(4)
    output |= {"landmarks": torch.randn(2, 21, 2, generator=generator)}
    labels = {
        "mirrored": torch.zeros(2, dtype=torch.bool),
        "mesh": meshes[0],
        "landmarks_px": torch.randn(2, 21, 2, generator=generator),
        "joints": torch.randn(2, 21, 3, generator=generator),
        "has_mask": torch.tensor([True, False]),
    }
    for mesh in meshes:
        mesh[1] = NOTHING
    labels["joints"][0] = labels["landmarks_px"][1, 4:] = NOTHING
    return output, meshes, heatmaps, silhouette, labels


def test_each_term_is_a_mean_over_the_labels_that_are_there():
    output, meshes, heatmaps, silhouette, labels = partial_batch()
    regressor = torch.rand(21, 4, generator=torch.Generator().manual_seed(2))
    arguments = (output, meshes, heatmaps, silhouette, FACES, labels["landmarks_px"], regressor, labels["joints"])
    terms = cmr_loss(*arguments, present_labels(labels, told_sides=False))
    first = {name: [v[:1] for v in value] if isinstance(value, list) else value[:1] for name, value in output.items()}
    alone = cmr_loss(
        first, [m[:1] for m in meshes], heatmaps[:1], silhouette[:1], FACES, labels["landmarks_px"][:1], regressor
    )
    for name in ("l1_loss", "mask_loss", "normal_loss", "edge_loss"):
        torch.testing.assert_close(terms[name], alone[name])
    there = torch.tensor([True] * 25 + [False] * 17).view(2, 21)
    maps = torch.nn.functional.binary_cross_entropy_with_logits(output["uv_pred"][there], heatmaps[there])
    torch.testing.assert_close(terms["uv_loss"], 10 * maps)
    off_px = (output["landmarks"] - labels["landmarks_px"])[there].abs().mean()
    torch.testing.assert_close(terms["landmark_loss"], off_px / 100)
    joints = regressor @ output["mesh_pred"][0]
    expected = torch.stack([regressor @ meshes[0][0], labels["joints"][1]])
    torch.testing.assert_close(terms["joint_loss"], (joints - expected).abs().mean())
    torch.testing.assert_close(terms["pose_loss"], 8 * pose_loss(joints, expected))
    assert terms["loss"].isfinite()


def test_a_hand_of_which_only_landmarks_are_known_counts_by_where_its_mesh_is_seen():
    output, meshes, heatmaps, silhouette, labels = partial_batch()
    labels["joints"][1] = NOTHING
    labels["landmarks_px"] = torch.randn(2, 21, 2, generator=torch.Generator().manual_seed(3))
    regressor = torch.rand(21, 4, generator=torch.Generator().manual_seed(2))
    arguments = (output, meshes, heatmaps, silhouette, FACES, labels["landmarks_px"], regressor, labels["joints"])
    terms = cmr_loss(*arguments, present_labels(labels, told_sides=False))
    expected = projection_loss(regressor @ output["mesh_pred"][0][1:], labels["landmarks_px"][1:])
    torch.testing.assert_close(terms["projection_loss"], 2 * expected)
    assert not terms["joint_loss"].isnan()


def test_joints_count_for_the_networks_of_the_paper_where_a_mesh_is_missing():
    output, meshes, heatmaps, silhouette, labels = partial_batch()
    del output["landmarks"]
    regressor = torch.rand(21, 4, generator=torch.Generator().manual_seed(2))
    arguments = (output, meshes, heatmaps, silhouette, FACES, labels["landmarks_px"], regressor, labels["joints"])
    terms = cmr_loss(*arguments, present_labels(labels, told_sides=False))
    expected = (regressor @ output["mesh_pred"][0][1] - labels["joints"][1]).abs().mean()
    torch.testing.assert_close(terms["joint_loss"], expected)


@pytest.mark.parametrize("network", ["paper", "mobile"])
def test_a_batch_without_labels_teaches_nothing(network):
    output, meshes, heatmaps, silhouette, labels = partial_batch()
    if network == "paper":
        del output["landmarks"]
    else:
        output["mirrored"] = torch.zeros(2)
    labels |= {name: torch.full_like(labels[name], NOTHING) for name in ("mesh", "landmarks_px", "joints")}
    labels["has_mask"][:] = False
    leaves = [*output["mesh_pred"], *(value for name, value in output.items() if name != "mesh_pred")]
    for leaf in leaves:
        leaf.requires_grad_()
    present = present_labels(labels, told_sides=network == "mobile")
    regressor = torch.rand(21, 4)
    arguments = (output, meshes, heatmaps, silhouette, FACES, labels["landmarks_px"], regressor, labels["joints"])
    terms = cmr_loss(*arguments, present)
    terms["loss"].backward()
    assert all(value == 0 for name, value in terms.items() if name not in ("side_loss", "loss"))
    torch.testing.assert_close(terms["loss"], terms.get("side_loss", torch.tensor(0.0)))
    assert all(not leaf.grad.any() for leaf in leaves if leaf is not output.get("mirrored"))
