"""Convolutions: the block shared by the encoders and the 2D decoders, and what rearranged ones have in common."""

import numpy as np
import torch
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Convolution with bias, then batch normalisation and ReLU where asked for. Keeps height and width."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, norm: bool = True, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))


def at_least_float32(x: Tensor) -> Tensor:
    """In the precision it has, or in float32 where that is lower: what sums are made of."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def bias_or_zeros(convolution: nn.Conv2d) -> Tensor:
    """A copy of the bias (out,)."""
    if convolution.bias is None:
        return convolution.weight.new_zeros(convolution.out_channels)
    return convolution.bias.detach().clone()


def lowest_after(relu: bool) -> np.float32:
    """What no result is below."""
    return np.float32(0) if relu else np.finfo(np.float32).min


def is_float32_inference(own: Tensor, *inputs: Tensor | None) -> bool:
    """Whether a layer's own tensor and its inputs are on a CPU in float32, and nobody asks for gradients."""
    return own.dtype == torch.float32 and is_inference_on_cpu(own, *inputs)


def is_inference_on_cpu(own: Tensor, *inputs: Tensor | None) -> bool:
    """Whether a layer's own tensor and its inputs are on a CPU, of one kind, and nobody asks for gradients."""
    given = [x for x in inputs if x is not None]
    if torch.is_autocast_enabled("cpu") or any(x.device.type != "cpu" or x.dtype != own.dtype for x in (own, *given)):
        return False
    return not (torch.is_grad_enabled() and any(x.requires_grad for x in given))
