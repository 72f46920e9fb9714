"""Batch normalisation folded into the convolution before it: exact in evaluation mode, up to rounding."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(module: nn.Module) -> None:
    """Fold every batch normalisation that directly follows a convolution, in place.

    Pairs are found by name, as torchvision's ResNets and `models.layers.ConvBlock` use them, and by neighbourhood in
    an `nn.Sequential`.

    Args:
        module: in evaluation mode.
    """
    for child in module.children():
        fold_batch_norm(child)
    children = dict(module.named_children())
    pairs = [(f"conv{number}", f"bn{number}") for number in (1, 2, 3)] + [("conv", "norm")]
    if isinstance(module, nn.Sequential):
        pairs += pairwise(children)
    for first, second in pairs:
        convolution, norm = children.get(first), children.get(second)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(convolution, norm))
            setattr(module, second, nn.Identity())
