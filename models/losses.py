"""Training losses (paper section 3.4)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

HEATMAP_WEIGHT = 10.0
SILHOUETTE_WEIGHT = 0.5
NORMAL_WEIGHT = 0.1
EDGE_WEIGHT = 1.0
LANDMARK_UNIT_PX = 100.0  # about a hand in the images
LANDMARK_WEIGHT, JOINT_WEIGHT = 1.0, 1.0  # of networks that also say where the landmarks are
LARGEST_SCALE = 2.0
SIDE_WEIGHT = 0.5
POSE_WEIGHT = 8.0  # of the same networks; to keep up with four meshes, in which how the hand is turned weighs most

# Output of the network -> name of its loss term.
HEATMAP_TERMS = {"uv_pred": "uv_loss", "uv_prior": "uv_prior_loss", "uv_prior2": "uv_prior_loss2"}
SILHOUETTE_TERMS = {"mask_pred": "mask_loss", "mask_prior": "mask_prior_loss"}


def triangle_edges(vertices: Tensor, faces: Tensor) -> Tensor:
    """Edge vectors (B, F, 3, 3) of every face: 0 to 1, 0 to 2, 1 to 2."""
    corners = vertices[:, faces]  # (B, F, 3, 3)
    return torch.stack(
        [corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 1]],
        dim=2,
    )


def normal_loss(prediction: Tensor, target: Tensor, faces: Tensor) -> Tensor:
    """Mean |unit edge of the prediction . unit face normal of the target|; vertices (B, V, 3), faces (F, 3)."""
    edges = F.normalize(triangle_edges(prediction, faces), dim=-1)
    target_edges = triangle_edges(target, faces)
    normals = F.normalize(torch.linalg.cross(target_edges[:, :, 0], target_edges[:, :, 1]), dim=-1)
    return (edges * normals[:, :, None]).sum(-1).abs().mean()


def edge_length_loss(prediction: Tensor, target: Tensor, faces: Tensor) -> Tensor:
    """Mean |edge length of the prediction - of the target|; vertices (B, V, 3), faces (F, 3)."""
    lengths = torch.linalg.vector_norm(triangle_edges(prediction, faces), dim=-1)
    target_lengths = torch.linalg.vector_norm(triangle_edges(target, faces), dim=-1)
    return (lengths - target_lengths).abs().mean()


def nearest_rotation(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (B, 3, 3) that bring centred points (B, N, 3) nearest to others, never a mirror image, and the sum of
    the products of the coordinates (B,) after that (Kabsch 1976, Umeyama 1991)."""
    # What is not a number shows in the result of a loss; the decomposition would raise.
    left, stretch, right = torch.linalg.svd(torch.nan_to_num(target.mT @ source, 0.0, 0.0, 0.0))
    signs = torch.ones_like(stretch)
    signs[:, 2] = torch.linalg.det(left @ right).sign()  # a left hand is not a right one
    return (left * signs[:, None]) @ right, (stretch * signs).sum(dim=-1)


def pose_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean distance of joints (B, J, 3) after the rotation, scale and shift that bring each hand nearest: PA-MPJPE.

    The gradient takes the alignment for given, which would change nothing if the distances were squared. A hand is
    enlarged `LARGEST_SCALE` times at most: small ones have to grow, and would otherwise have large gradients.
    """
    prediction = prediction - prediction.mean(dim=1, keepdim=True)
    target = target - target.mean(dim=1, keepdim=True)
    source = prediction.detach()
    rotation, stretch = nearest_rotation(source, target)
    scale = stretch / source.square().sum(dim=(1, 2)).clamp(min=1e-12)
    scale = scale.clamp(max=LARGEST_SCALE)
    aligned = scale[:, None, None] * (prediction @ rotation.mT)
    return torch.linalg.vector_norm(aligned - target, dim=-1).mean()


def cmr_loss(
    output: Mapping[str, Tensor | list[Tensor]],
    mesh_targets: Sequence[Tensor],
    heatmaps: Tensor,
    silhouette: Tensor,
    faces: Tensor,
    landmarks_px: Tensor | None = None,
    joint_regressor: Tensor | None = None,
    known: Tensor | None = None,
) -> dict[str, Tensor]:
    """All loss terms of a batch, in float32 whatever the precision of the network.

    Args:
        output: what `CMR.forward(..., as_logits=True)` returns.
        mesh_targets: meshes (B, V_l, 3), finest first, same scale as `mesh_pred`; levels beyond its length are not
            supervised.
        heatmaps: (B, 21, H, W) in [0, 1].
        silhouette: (B, H, W) in [0, 1].
        faces: (F, 3) of the finest level.
        landmarks_px, joint_regressor: (B, 21, 2) in the images and (21, V), for a network that returns `landmarks`.
        known: (N,) numbers of the images that are not mirrored, for a network that returns `mirrored`: of the others it
            learns nothing but that. None: all.

    Returns:
        dict of scalars, each as it enters the sum; `l1_loss` is the finest level's, `loss` the sum with all levels.
    """
    if "mirrored" in output:
        known = list(range(len(heatmaps))) if known is None else known
        rows = known if len(known) else [0]
        others = {name: _rows(value, rows) for name, value in output.items() if name != "mirrored"}
        targets = [_rows(value, rows) for value in (mesh_targets, heatmaps, silhouette)]
        terms = cmr_loss(others, *targets, faces, _rows(landmarks_px, rows), joint_regressor)
        if not len(known):  # in a small batch: the terms are there as ever, and teach nothing
            terms = {name: 0 * value for name, value in terms.items()}
        log_odds = output["mirrored"].float()
        mirrored = torch.ones_like(log_odds)
        mirrored[known] = 0
        side = SIDE_WEIGHT * F.binary_cross_entropy_with_logits(log_odds, mirrored)
        return terms | {"side_loss": side, "loss": terms["loss"] + side}
    meshes = [level.float() for level in output["mesh_pred"]]
    levels = [F.l1_loss(mesh, target) for mesh, target in zip(meshes, mesh_targets, strict=False)]
    terms = {"l1_loss": levels[0]}
    for name, term in HEATMAP_TERMS.items():
        if name in output:
            target = heatmaps
            if target.shape[-2:] != output[name].shape[-2:]:
                target = F.adaptive_max_pool2d(target, output[name].shape[-2:])
            terms[term] = HEATMAP_WEIGHT * F.binary_cross_entropy_with_logits(output[name].float(), target)
    for name, term in SILHOUETTE_TERMS.items():
        if name in output:
            target = silhouette
            if target.shape[-2:] != output[name].shape[-2:]:
                target = F.adaptive_avg_pool2d(target, output[name].shape[-2:])
            terms[term] = SILHOUETTE_WEIGHT * F.binary_cross_entropy_with_logits(output[name].float(), target)
    if "landmarks" in output:
        off_px = (output["landmarks"].float() - landmarks_px).abs().mean()
        terms["landmark_loss"] = LANDMARK_WEIGHT * off_px / LANDMARK_UNIT_PX
        joints, target_joints = joint_regressor @ meshes[0], joint_regressor @ mesh_targets[0]
        terms["joint_loss"] = JOINT_WEIGHT * (joints - target_joints).abs().mean()
        terms["pose_loss"] = POSE_WEIGHT * pose_loss(joints, target_joints)
    terms["normal_loss"] = NORMAL_WEIGHT * normal_loss(meshes[0], mesh_targets[0], faces)
    terms["edge_loss"] = EDGE_WEIGHT * edge_length_loss(meshes[0], mesh_targets[0], faces)
    terms["loss"] = sum(terms.values()) + sum(levels[1:])
    return terms


def _rows(value: Tensor | Sequence[Tensor], rows: Tensor | list[int]) -> Tensor | list[Tensor]:
    return value[rows] if isinstance(value, Tensor) else [level[rows] for level in value]
