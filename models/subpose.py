"""Sub-pose aggregation: heat maps of joints that belong together, added up (paper section 3.2)."""

from itertools import combinations

import torch
from torch import Tensor, nn

from handmesh.joints import NUM_JOINTS

FINGER_TIPS = (4, 8, 12, 16, 20)
TIP_PAIRS = tuple(combinations(FINGER_TIPS, 2))  # 10 sub-poses
WHOLE_FINGERS = tuple(tuple(range(tip - 3, tip + 1)) for tip in FINGER_TIPS)  # 5 sub-poses


class SubPoseAggregation(nn.Module):
    """Sum of the heat maps of each group of joints.

    Args:
        groups: joint indices of each sub-pose, in output order.
    """

    membership: Tensor

    def __init__(self, groups: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        membership = torch.zeros(len(groups), NUM_JOINTS)
        for row, joints in zip(membership, groups, strict=True):
            row[list(joints)] = 1
        self.register_buffer("membership", membership, persistent=False)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """heatmaps: (B, 21, H, W) -> (B, groups, H, W)."""
        summed = self.membership.to(heatmaps.dtype) @ heatmaps.flatten(2)
        return summed.unflatten(2, heatmaps.shape[2:])
