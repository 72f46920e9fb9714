"""3x3 convolutions over small maps as one matrix product.

PyTorch hands each convolution to oneDNN, which brings the weights into an order of its own at every call: where a map
has fewer pixels than a filter has inputs, that takes longer than the convolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import bias_or_zeros, is_padded_3x3

FEWEST_WEIGHTS = 30_000  # in x out; smaller ones stand where maps are large


class UnfoldedConv(nn.Module):
    """A 3x3 convolution with zero padding 1.

    Args:
        convolution: see `suits`.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.stride = convolution.stride[0]
        weight = convolution.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)  # (3 * 3 * in, out)
        self.register_buffer("weight", weight.contiguous(), persistent=False)
        self.register_buffer("bias", bias_or_zeros(convolution), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H', W'), channels last."""
        image = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        patches = image.unfold(1, 3, self.stride).unfold(2, 3, self.stride)  # (B, H', W', in, 3, 3)
        columns = patches.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
        return torch.addmm(self.bias, columns, self.weight).unflatten(0, patches.shape[:3]).permute(0, 3, 1, 2)


def suits(module: nn.Module) -> bool:
    """Whether a module is a convolution that `UnfoldedConv` does as well, and can do faster."""
    if not is_padded_3x3(module) or module.stride[0] != module.stride[1]:
        return False
    return module.in_channels * module.out_channels >= FEWEST_WEIGHTS
