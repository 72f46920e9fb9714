"""The convolution block that the encoders and the 2D decoders are made of."""

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
