"""2D decoder: encoder pyramid to half-resolution maps (landmark heat maps, silhouette)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import ConvBlock


class HeatmapDecoder(nn.ModuleList):
    """Four times: double the size bilinearly, join the next skip, 3x3 ConvBlock. A U-Net's way up.

    Args:
        channels: widths of the pyramid, deepest first, e.g. (512, 256, 128, 64).
    """

    def __init__(self, channels: Sequence[int]) -> None:
        deepest, *skips = channels
        blocks = []
        width = deepest
        for skip in skips:
            blocks.append(ConvBlock(width + skip, skip, 3))
            width = skip
        super().__init__([*blocks, ConvBlock(width, width, 3)])

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """pyramid: maps at S/32, S/16, S/8, S/4 -> (B, channels[-1], S/2, S/2)."""
        x, *skips = pyramid
        for block, skip in zip(self, [*skips, None], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(x if skip is None else torch.cat([x, skip], dim=1))
        return x


def heatmap_head(in_channels: int, maps: int) -> ConvBlock:
    """Last convolution of a 2D branch: logits, one channel a map."""
    return ConvBlock(in_channels, maps, 3, norm=False, relu=False)
