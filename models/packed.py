"""Convolutions whose weights stay in the order that oneDNN computes with, an activation included.

PyTorch hands each convolution to oneDNN, which brings the weights into that order again at every call: where a map has
fewer pixels than a filter has inputs, that takes as long as the convolution. The operators used here are those that
PyTorch's own compiler puts in the place of convolutions.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import bias_or_zeros, is_inference_on_cpu

ACTIVATIONS = {"none": [], "relu": [], "hardtanh": [0.0, 6.0]}  # oneDNN's names, and their numbers: the last is ReLU6
WITH_ONEDNN = torch.backends.mkldnn.is_available()
WITH_BF16 = WITH_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # which not every processor has


class _PackedWeight(nn.Module):
    """A layer with weights in an order that suits inputs of one kind. It is changed with the kind, so that there is one
    copy of them.

    Args:
        weight: in PyTorch's order.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.packed: tuple[object, Tensor] = (None, weight)  # the kind of input, and the weights

    @property
    def weight(self) -> Tensor:
        """In PyTorch's order."""
        weight = self.packed[1]
        return weight.to_dense() if weight.is_mkldnn else weight

    def __getstate__(self) -> dict[str, object]:
        """For copies and pickles, which oneDNN's order has no storage for."""
        return super().__getstate__() | {"packed": (None, self.weight)}


class PackedConv(_PackedWeight):
    """A convolution and what follows it. Whatever is not inference on a CPU, in float32 or in the bf16 that the
    processor has, is left to PyTorch.

    What is not a number becomes zero in a ReLU of oneDNN.

    Args:
        convolution: see `suits`.
        activation: a key of `ACTIVATIONS`.
        padding: of zeros before the convolution's own, as of `F.pad`.
    """

    def __init__(self, convolution: nn.Conv2d, activation: str = "none", padding: Sequence[int] | None = None) -> None:
        super().__init__(convolution.weight.detach())
        self.settings = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self.activation, self.padding = activation, padding
        self.register_buffer("bias", bias_or_zeros(convolution), persistent=False)

    @torch.compiler.disable
    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(B, in, H, W) -> (B, out, H', W'), channels last where the input is.

        Args:
            added: of the result's shape, to be added before the activation.
        """
        if self.padding is not None:
            x = F.pad(x, self.padding)
        summed_first = added is not None and self.activation == "hardtanh"  # which oneDNN does not do
        if summed_first or not _is_for_onednn(self.bias, x, added):
            return self._directly(x, added)
        size, weight = self.packed
        if size != x.shape[2:]:
            size, weight = self.packed = (x.shape[2:], self._pack(self.weight, x.shape[1:]))
        numbers = ACTIVATIONS[self.activation]
        operator, arguments = torch.ops.mkldnn._convolution_pointwise, (weight, self.bias, *self.settings)
        if added is None:
            return operator(x, *arguments, self.activation, numbers, "")
        activation = None if self.activation == "none" else self.activation
        return operator.binary(x, added, *arguments, "add", 1.0, activation, numbers, "")

    def _pack(self, weight: Tensor, shape: torch.Size) -> Tensor:
        return torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *self.settings, (1, *shape))

    def _directly(self, x: Tensor, added: Tensor | None) -> Tensor:
        padding, stride, dilation, groups = self.settings
        found = F.conv2d(x, self.weight.to(x), self.bias.to(x), stride, padding, dilation, groups)
        found = found if added is None else found + added
        if self.activation == "none":
            return found
        return F.relu(found) if self.activation == "relu" else F.hardtanh(found, *ACTIVATIONS[self.activation])


class PackedLinear(_PackedWeight):
    """Rows times a matrix. What is left to PyTorch is as in `PackedConv`.

    Args:
        weight: (out, in).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.register_buffer("anchor", weight.new_empty(0), persistent=False)  # tells where the module has been moved

    def forward(self, x: Tensor) -> Tensor:
        """(R, in) -> (R, out)."""
        if not _is_for_onednn(self.anchor, x):
            return F.linear(x, self.weight.to(x))
        rows, weight = self.packed
        if rows is None or not rows / 2 < len(x) < 2 * rows:  # numbers near to each other have the same order
            rows, weight = self.packed = (len(x), torch.ops.mkldnn._reorder_linear_weight(self.weight, len(x)))
        return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def _is_for_onednn(own: Tensor, *inputs: Tensor | None) -> bool:
    available = {torch.float32: WITH_ONEDNN, torch.bfloat16: WITH_BF16}.get(own.dtype, False)
    return available and is_inference_on_cpu(own, *inputs)


def suits(module: nn.Module) -> bool:
    """Whether a module is a convolution that `PackedConv` does as well. False where PyTorch came without oneDNN."""
    usual = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return usual and WITH_ONEDNN
