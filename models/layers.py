"""Convolutions: the block shared by the encoders and the 2D decoders, and what rearranged ones ask of theirs."""

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


def is_padded_3x3(module: nn.Module) -> bool:
    """Whether a module is a 3x3 convolution with zero padding 1 and nothing else to it; its stride may be any."""
    if type(module) is not nn.Conv2d:
        return False
    found = (module.kernel_size, module.padding, module.dilation, module.groups, module.padding_mode)
    return found == ((3, 3), (1, 1), (1, 1), 1, "zeros")


def bias_or_zeros(convolution: nn.Conv2d) -> Tensor:
    """A copy of the bias (out,)."""
    if convolution.bias is None:
        return convolution.weight.new_zeros(convolution.out_channels)
    return convolution.bias.detach().clone()
