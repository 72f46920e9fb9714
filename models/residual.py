"""A residual block of torchvision for inference on a CPU: the sum and ReLU are done inside its convolutions."""

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from models import packed


class FusedBlock(nn.Module):
    """A `BasicBlock` without batch normalisation.

    Args:
        block: see `suits`.
        exchanged: a convolution with a ReLU behind it -> a module that does both, and between them adds what it is
            given as a second argument.
    """

    def __init__(self, block: BasicBlock, exchanged: Callable[[nn.Conv2d], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.conv2 = exchanged(block.conv1), exchanged(block.conv2)
        self.downsample = nn.Identity() if block.downsample is None else block.downsample

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x), self.downsample(x))


def suits(module: nn.Module) -> bool:
    """Whether a module is a residual block with its batch normalisation folded away, and convolutions to exchange."""
    if type(module) is not BasicBlock or not packed.suits(module.conv1) or not packed.suits(module.conv2):
        return False
    return isinstance(module.bn1, nn.Identity) and isinstance(module.bn2, nn.Identity)
