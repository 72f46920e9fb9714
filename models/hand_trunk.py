"""The convolutional trunk of MediaPipe's hand landmark network (Zhang et al. 2020), which already knows hands.

A chain of inverted residual blocks (MobileNet v2), batch normalisation folded into the convolutions by its authors.
`scripts/convert_mediapipe.py` fills it from the published file.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_CHANNELS, FIRST_CHANNELS = 24, 16
POOLED_CHANNELS = 1152
FINAL_KERNEL = 3


@dataclass(frozen=True)
class Block:
    """One inverted residual: widen, filter each channel, narrow; added to its input where shapes allow."""

    kernel: int
    stride: int
    hidden: int
    out: int


STAGES = (
    (Block(3, 2, 64, 24), Block(3, 1, 144, 24)),  # S/4
    (Block(5, 2, 144, 40), Block(5, 1, 240, 40)),  # S/8
    (
        *(Block(3, 2, 240, 80), Block(3, 1, 480, 80), Block(3, 1, 480, 80)),
        *(Block(5, 1, 480, 112), Block(5, 1, 672, 112), Block(5, 1, 672, 112)),
    ),  # S/16
    (Block(5, 2, 672, 192), *(Block(5, 1, 1152, 192),) * 3),  # S/32
)
PYRAMID_CHANNELS = tuple(stage[-1].out for stage in STAGES[1:])  # at S/8, S/16 and S/32


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: with stride 2, one pixel more at the right and the bottom; with ReLU6
    after it where `clipped`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, clipped: bool = True
    ) -> None:
        uneven = stride == 2
        super().__init__(inputs, outputs, kernel, stride, 0 if uneven else kernel // 2, groups=groups)
        self.extra = ((kernel - 2) // 2, (kernel - 1) // 2) * 2 if uneven else None
        self.clipped = clipped

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x if self.extra is None else F.pad(x, self.extra))
        return F.relu6(found, inplace=True) if self.clipped else found  # nothing else reads it


class InvertedResidual(nn.Module):
    """See `Block`."""

    def __init__(self, inputs: int, block: Block) -> None:
        super().__init__()
        self.expand = SameConv(inputs, block.hidden, 1)
        self.filter = SameConv(block.hidden, block.hidden, block.kernel, block.stride, groups=block.hidden)
        self.project = SameConv(block.hidden, block.out, 1, clipped=False)
        self.residual = block.stride == 1 and inputs == block.out

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.project(self.filter(self.expand(x)))
        return narrow + x if self.residual else narrow


class TrunkFeatures(NamedTuple):
    """What the trunk hands on, for images of S x S pixels.

    Attributes:
        pyramid: maps of 40, 112 and 192 channels at S/8, S/16 and S/32.
        pooled: (B, 1152), the average of the last layer.
    """

    pyramid: tuple[Tensor, Tensor, Tensor]
    pooled: Tensor


class HandTrunk(nn.Module):
    """Image to features. Input: (B, 3, S, S) RGB in [0, 1], a hand turned upright in a box 1.6 times its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2)
        self.first_filter = SameConv(STEM_CHANNELS, STEM_CHANNELS, 3, groups=STEM_CHANNELS)
        self.first_project = SameConv(STEM_CHANNELS, FIRST_CHANNELS, 1, clipped=False)
        width = FIRST_CHANNELS
        self.stages = nn.ModuleList()
        for stage in STAGES:
            blocks = []
            for block in stage:
                blocks.append(InvertedResidual(width, block))
                width = block.out
            self.stages.append(nn.Sequential(*blocks))
        self.last_expand = SameConv(width, POOLED_CHANNELS, 1)
        self.last_filter = SameConv(POOLED_CHANNELS, POOLED_CHANNELS, FINAL_KERNEL, groups=POOLED_CHANNELS)

    def convolutions(self) -> list[SameConv]:
        """All convolutions in the order in which they run."""
        return [module for module in self.modules() if isinstance(module, SameConv)]

    def forward(self, images: Tensor) -> TrunkFeatures:
        x = self.first_project(self.first_filter(self.stem(images)))
        _, eighth, sixteenth, thirty_second = (x := stage(x) for stage in self.stages)
        x = self.last_filter(self.last_expand(x))
        return TrunkFeatures((eighth, sixteenth, thirty_second), torch.mean(x, dim=(2, 3)))
