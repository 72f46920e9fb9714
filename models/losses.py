"""Training losses (paper section 3.4)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

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
USUAL_DISTANCE = 2.75  # of hands in photos, in units of the meshes
PROJECTION_WEIGHT = 2.0  # of hands that only landmarks are known of
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
    return _mean((edges * normals[:, :, None]).sum(-1).abs())


def edge_length_loss(prediction: Tensor, target: Tensor, faces: Tensor) -> Tensor:
    """Mean |edge length of the prediction - of the target|; vertices (B, V, 3), faces (F, 3)."""
    lengths = torch.linalg.vector_norm(triangle_edges(prediction, faces), dim=-1)
    target_lengths = torch.linalg.vector_norm(triangle_edges(target, faces), dim=-1)
    return _mean((lengths - target_lengths).abs())


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
    return _mean(torch.linalg.vector_norm(aligned - target, dim=-1))


def projection_loss(joints: Tensor, landmarks_px: Tensor) -> Tensor:
    """Mean distance, in `LANDMARK_UNIT_PX`, of landmarks (B, J, 2) from root-relative joints (B, J, 3) as a camera at
    the usual distance sees them, after the scale and shift that bring each hand nearest: a hand of which neither size
    nor place is known."""
    seen = joints[..., :2] / (1 + joints[..., 2:] / USUAL_DISTANCE).clamp(min=0.1)
    seen = seen - seen.mean(dim=1, keepdim=True)
    target = landmarks_px - landmarks_px.mean(dim=1, keepdim=True)
    scale = (seen * target).sum(dim=(1, 2)) / seen.square().sum(dim=(1, 2)).clamp(min=1e-12)
    off = torch.linalg.vector_norm(scale[:, None, None] * seen - target, dim=-1)
    return _mean(off) / LANDMARK_UNIT_PX


def present_labels(batch: Mapping[str, Tensor], told_sides: bool) -> dict[str, Tensor]:
    """What `cmr_loss` takes as `present`: row numbers of the labels that a batch has, worked out where nothing has to
    be waited for, on the CPU.

    Args:
        batch: `mirrored` (B,). With `joints`, labels may be missing: then also `mesh` (B, V, 3), `landmarks_px`
            (B, 21, 2) and `joints` (B, 21, 3), not a number where they do, and `has_mask` (B,).
        told_sides: whether the network says which hands are mirrored.
    """
    known = ~batch["mirrored"] if told_sides else torch.ones_like(batch["mirrored"])
    labels = {"sides": known} if told_sides else {}
    if "joints" in batch:
        meshes = known & batch["mesh"][:, 0, 0].isfinite()
        joints = known & ~meshes & batch["joints"][:, 0, 0].isfinite()
        seen = batch["landmarks_px"][..., 0].isfinite()
        labels |= {
            "meshes": meshes,
            "joints": joints,
            "flat": known & ~meshes & ~joints & seen.all(dim=1),
            "points": (known[:, None] & seen).flatten(),
            "masks": known & batch["has_mask"],
        }
    return {name: there.nonzero().squeeze(1) for name, there in labels.items()}


def cmr_loss(
    output: Mapping[str, Any],
    mesh_targets: Sequence[Tensor],
    heatmaps: Tensor,
    silhouette: Tensor,
    faces: Tensor,
    landmarks_px: Any = None,
    joint_regressor: Any = None,
    joints: Tensor | None = None,
    present: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """All loss terms of a batch, in float32 whatever the precision of the network. Each is a mean over what there is,
    and 0 where there is nothing.

    Args:
        output: what `CMR.forward(..., as_logits=True)` returns.
        mesh_targets: meshes (B, V_l, 3), finest first, same scale as `mesh_pred`; levels beyond its length are not
            supervised.
        heatmaps: (B, 21, H, W) in [0, 1].
        silhouette: (B, H, W) in [0, 1].
        faces: (F, 3) of the finest level.
        landmarks_px, joint_regressor: (B, 21, 2) in the images and (21, V), for a network that returns `landmarks`.
        joints: (B, 21, 3) of hands without a mesh, same scale; with `joint_regressor`. None: all have one.
        present: numbers of the labels that are there, as `present_labels` has them. `sides` are the hands that are not
            mirrored: of the others a network that returns `mirrored` learns nothing but that. `meshes`, `masks`,
            `joints` (3D joints without a mesh) and `flat` (landmarks alone) count hands, `points` 21 landmarks a hand.
            A kind that is not named is there wherever the side is, but `flat` nowhere.

    Returns:
        dict of scalars, each as it enters the sum; `l1_loss` is the finest level's, `loss` the sum with all levels.
    """

    def rows(value: Tensor, kind: str) -> Tensor:
        numbers = present.get(kind, present.get("sides"))
        return value if numbers is None else value[numbers]

    def points(value: Tensor) -> Tensor:
        return value.flatten(0, 1)[present["points"]] if "points" in present else rows(value, "sides")

    meshes = [rows(level.float(), "meshes") for level in output["mesh_pred"]]
    mesh_targets = [rows(level, "meshes") for level in mesh_targets]
    levels = [_distance(mesh, target) for mesh, target in zip(meshes, mesh_targets, strict=False)]
    terms = {"l1_loss": levels[0]}
    for name, term in HEATMAP_TERMS.items():
        if name in output:
            target = heatmaps
            if target.shape[-2:] != output[name].shape[-2:]:
                target = F.adaptive_max_pool2d(target, output[name].shape[-2:])
            terms[term] = HEATMAP_WEIGHT * _cross_entropy(points(output[name]), points(target))
    for name, term in SILHOUETTE_TERMS.items():
        if name in output:
            target = silhouette
            if target.shape[-2:] != output[name].shape[-2:]:
                target = F.adaptive_avg_pool2d(target, output[name].shape[-2:])
            terms[term] = SILHOUETTE_WEIGHT * _cross_entropy(rows(output[name], "masks"), rows(target, "masks"))
    pairs = []  # predicted and true joints in 3D
    if "landmarks" in output:
        off_px = _mean((points(output["landmarks"].float()) - points(landmarks_px)).abs())
        terms["landmark_loss"] = LANDMARK_WEIGHT * off_px / LANDMARK_UNIT_PX
        pairs.append((joint_regressor @ meshes[0], joint_regressor @ mesh_targets[0]))
    if joints is not None:
        without_mesh = rows(output["mesh_pred"][0].float(), "joints")
        pairs.append((joint_regressor @ without_mesh, rows(joints, "joints")))
    if pairs:
        found, expected = (torch.cat(hands) for hands in zip(*pairs, strict=True))
        terms["joint_loss"] = JOINT_WEIGHT * _mean((found - expected).abs())
    if "landmarks" in output:
        terms["pose_loss"] = POSE_WEIGHT * pose_loss(found, expected)
    if "flat" in present and joint_regressor is not None:
        flat = joint_regressor @ output["mesh_pred"][0][present["flat"]].float()
        terms["projection_loss"] = PROJECTION_WEIGHT * projection_loss(flat, landmarks_px[present["flat"]])
    terms["normal_loss"] = NORMAL_WEIGHT * normal_loss(meshes[0], mesh_targets[0], faces)
    terms["edge_loss"] = EDGE_WEIGHT * edge_length_loss(meshes[0], mesh_targets[0], faces)
    loss: Any = sum(terms.values()) + sum(levels[1:])
    if "mirrored" in output:
        log_odds = output["mirrored"].float()
        mirrored = torch.zeros_like(log_odds)
        if "sides" in present:
            mirrored = torch.ones_like(log_odds).index_fill(0, present["sides"], 0)
        terms["side_loss"] = SIDE_WEIGHT * _cross_entropy(log_odds, mirrored)
        loss = loss + terms["side_loss"]
    return terms | {"loss": loss}


# Of nothing, means are 0 and so are their gradients.


def _distance(found: Tensor, expected: Tensor) -> Tensor:
    return F.l1_loss(found, expected, reduction="mean" if len(found) else "sum")


def _cross_entropy(log_odds: Tensor, target: Tensor) -> Tensor:
    reduction = "mean" if len(log_odds) else "sum"
    return F.binary_cross_entropy_with_logits(log_odds.float(), target, reduction=reduction)


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.sum()
