"""The open hand as a differentiable function of pose and shape: linear blend skinning in PyTorch."""

import torch
from torch import Tensor, nn

from datasets.synthesis.hand import OpenHand, bone_length, load_open_hand
from datasets.synthesis.skeleton import PARENTS


class OpenHandLayer(nn.Module):
    """Batched linear blend skinning of `template/open_hand`; constants are non-persistent buffers.

    Args:
        hand: the hand; None reads the one of this repository.
    """

    def __init__(self, hand: OpenHand | None = None) -> None:
        super().__init__()
        hand = load_open_hand() if hand is None else hand
        for name in ("vertices", "joints", "tips", "axes", "weights"):
            self.register_buffer(name, torch.from_numpy(getattr(hand, name)), persistent=False)
        for name in ("shape_vertices", "shape_joints", "shape_tips"):
            self.register_buffer(name, torch.from_numpy(getattr(hand, name)), persistent=False)

    def forward(self, angles: Tensor, shape: Tensor, length_m: Tensor) -> tuple[Tensor, Tensor]:
        """Pose a batch of hands, in the frame of the palm (see `OpenHand`).

        Args:
            angles: (N, B, 3) flexion, abduction and twist of each bone, radians.
            shape: (N, S) shape coefficients.
            length_m: (N,) from the wrist to the middle tip at rest.

        Returns:
            vertices (N, V, 3) and joints (N, B, 3), metres.
        """
        vertices = self.vertices + torch.einsum("ns,svk->nvk", shape, self.shape_vertices)
        joints = self.joints + torch.einsum("ns,sbk->nbk", shape, self.shape_joints)
        tips = self.tips + torch.einsum("ns,stk->ntk", shape, self.shape_tips)
        scale = (length_m / bone_length(joints, tips))[:, None, None]
        vertices, joints = vertices * scale, joints * scale
        rotations, translations = self._bone_transforms(angles, joints)
        blended = torch.einsum("vb,nbij->nvij", self.weights, rotations)
        offsets = torch.einsum("vb,nbi->nvi", self.weights, translations)
        moved = torch.einsum("nbij,nbj->nbi", rotations, joints) + translations
        return torch.einsum("nvij,nvj->nvi", blended, vertices) + offsets, moved

    def _bone_transforms(self, angles: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations (N, B, 3, 3) and translations (N, B, 3) from rest to pose."""
        turns = axis_rotations(self.axes, angles)  # (N, B, 3, 3, 3), one for each of the three axes
        local = turns[:, :, 1] @ turns[:, :, 0] @ turns[:, :, 2]  # abduction after flexion after twist
        offsets = joints - torch.einsum("nbij,nbj->nbi", local, joints)
        rotations, translations = [local[:, 0]], [offsets[:, 0]]
        for bone, parent in enumerate(PARENTS.tolist()[1:], start=1):
            rotations.append(rotations[parent] @ local[:, bone])
            moved = torch.einsum("nij,nj->ni", rotations[parent], offsets[:, bone])
            translations.append(moved + translations[parent])
        return torch.stack(rotations, dim=1), torch.stack(translations, dim=1)


def axis_rotations(axes: Tensor, angles: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) about unit axes (..., 3) by angles (...) in radians (Rodrigues)."""
    x, y, z = axes.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, rest = torch.sin(angles)[..., None, None], (1 - torch.cos(angles))[..., None, None]
    return torch.eye(3, dtype=axes.dtype, device=axes.device) + sine * cross + rest * (cross @ cross)
