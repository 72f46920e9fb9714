"""Encoder stages: torchvision ResNets, either from the image or from a reduced stack of earlier maps."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50

from handmesh.errors import InputError
from models.layers import ConvBlock

STEM_CHANNELS = 64  # stem output of ResNet18 and ResNet50
GLOBAL_CHANNELS = 1000  # outputs of `fc`, kept from the ImageNet classifier


class Backbone(NamedTuple):
    """A ResNet and the widths of its four feature maps, deepest first."""

    factory: Callable[..., ResNet]
    channels: tuple[int, int, int, int]


BACKBONES = {
    "ResNet18": Backbone(resnet18, (512, 256, 128, 64)),
    "ResNet50": Backbone(resnet50, (2048, 1024, 512, 256)),
}


class Features(NamedTuple):
    """What an encoder stage hands on, for an image of S x S pixels.

    Attributes:
        stem: (B, 64, S/2, S/2).
        pyramid: the outputs of layer4, layer3, layer2 and layer1, at S/32, S/16, S/8 and S/4.
        pooled: (B, 1000) output of `fc`, or None in a stage without one.
    """

    stem: Tensor
    pyramid: tuple[Tensor, Tensor, Tensor, Tensor]
    pooled: Tensor | None


class EncoderStage(nn.Module):
    """One ResNet of the stack (paper section 3.1). Parameter names are torchvision's, plus `reduce`.

    Args:
        backbone: a key of `BACKBONES`.
        reduce_channels: None for the stage that reads the image; otherwise the number of channels of the S/2 maps
            that a stage starts from instead of the image.
    """

    def __init__(self, backbone: str, reduce_channels: int | None = None) -> None:
        super().__init__()
        resnet = BACKBONES[backbone].factory(weights=None)
        if reduce_channels is None:
            self.conv1, self.bn1, self.relu = resnet.conv1, resnet.bn1, resnet.relu
        else:
            self.reduce = nn.Sequential(
                ConvBlock(reduce_channels, reduce_channels, 3),
                ConvBlock(reduce_channels, 128, 3),
                ConvBlock(128, STEM_CHANNELS, 1, relu=False),
            )
        self.maxpool = resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        if reduce_channels is not None:
            self.fc = resnet.fc

    def forward(self, x: Tensor) -> Features:
        """x: (B, 3, S, S) image, or (B, reduce_channels, S/2, S/2) maps."""
        stem = self.reduce(x) if hasattr(self, "reduce") else self.relu(self.bn1(self.conv1(x)))
        x1 = self.layer1(self.maxpool(stem))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        x4 = self.layer4(x3)
        pooled = self.fc(x4.mean(dim=(2, 3))) if hasattr(self, "fc") else None
        return Features(stem, (x4, x3, x2, x1), pooled)

    def load_imagenet(self, state_dict: Mapping[str, Tensor]) -> None:
        """Copy every ImageNet tensor this stage has a place for. Raises InputError if one does not fit."""
        own = self.state_dict()
        for key, value in own.items():
            # Older torchvision files do not count batches; the counter plays no part with a fixed momentum.
            if key.startswith("reduce.") or key.endswith("num_batches_tracked"):
                continue
            if key not in state_dict or state_dict[key].shape != value.shape:
                raise InputError(
                    f"ImageNet weights: '{key}' {tuple(value.shape)} is missing or different; expected torchvision's"
                )
            with torch.no_grad():
                value.copy_(state_dict[key])
